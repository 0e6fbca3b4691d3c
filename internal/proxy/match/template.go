package match

import (
	"regexp"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	templatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	rewritev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/rewrite/uri_template/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Characters of a path segment that * and ** take (RFC 3986, 3.3, less "*").
const segment = `a-zA-Z0-9\-._~%!$&'()+,;:@=`

// maxVariables of one template, and the form of their names, as in Envoy.
const maxVariables = 5

var variable = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,15}$`)

// Template is a compiled path match extension, of which uri_template is the one
// that is supported.
type Template struct {
	// Prefix is what every path that matches begins with.
	Prefix string
	re     *regexp.Regexp
}

// CompileTemplate compiles a path match extension.
func CompileTemplate(m *corev3.TypedExtensionConfig) (*Template, error) {
	if err := strict.Only(m, "name", "typed_config"); err != nil {
		return nil, err
	}
	var t templatev3.UriTemplateMatchConfig
	if err := strict.Unpack(m.GetTypedConfig(), &t); err != nil {
		return nil, strict.At("typed_config", err)
	}
	if err := strict.Only(&t, "path_template"); err != nil {
		return nil, strict.At("typed_config", err)
	}
	c, err := compileTemplate(t.GetPathTemplate())
	return c, strict.At("typed_config.path_template", err)
}

// Match tells whether a path without query (CutPath) matches.
func (t *Template) Match(path string) bool { return t.re.MatchString(path) }

// Rewrite makes a path of the variables of another.
type Rewrite struct {
	template *Template
	parts    []rewritePart
}

// rewritePart is a literal, or the variable of a group.
type rewritePart struct {
	literal string
	group   int
}

// CompileRewrite compiles a path rewrite extension, of which uri_template is the one
// that is supported, for paths that match t.
func CompileRewrite(m *corev3.TypedExtensionConfig, t *Template) (*Rewrite, error) {
	if err := strict.Only(m, "name", "typed_config"); err != nil {
		return nil, err
	}
	var c rewritev3.UriTemplateRewriteConfig
	if err := strict.Unpack(m.GetTypedConfig(), &c); err != nil {
		return nil, strict.At("typed_config", err)
	}
	if err := strict.Only(&c, "path_template_rewrite"); err != nil {
		return nil, strict.At("typed_config", err)
	}
	r := &Rewrite{template: t}
	return r, strict.At("typed_config.path_template_rewrite", r.parse(c.GetPathTemplateRewrite()))
}

// literalPath is what may stand between a rewrite's variables.
var literalPath = regexp.MustCompile(`^[/` + segment + `]*$`)

func (r *Rewrite) parse(text string) error {
	if !strings.HasPrefix(text, "/") {
		return strict.Errorf("", "does not begin with /")
	}
	for text != "" {
		literal, rest, found := strings.Cut(text, "{")
		if !literalPath.MatchString(literal) || strings.Contains(literal, "//") {
			return strict.Errorf("", "%q is no path", literal)
		}
		r.parts = append(r.parts, rewritePart{literal: literal})
		if !found {
			return nil
		}
		name, after, closed := strings.Cut(rest, "}")
		i := r.template.re.SubexpIndex(name)
		if !closed || name == "" || i < 0 {
			return strict.Errorf("", "%q is no variable of the match", name)
		}
		r.parts = append(r.parts, rewritePart{group: i})
		text = after
	}
	return nil
}

// Apply gives the new path of one without query; false if it does not match.
func (r *Rewrite) Apply(path string) (string, bool) {
	at := r.template.re.FindStringSubmatchIndex(path)
	if at == nil {
		return "", false
	}
	var b strings.Builder
	for _, p := range r.parts {
		if p.group == 0 {
			b.WriteString(p.literal)
		} else {
			b.WriteString(path[at[2*p.group]:at[2*p.group+1]])
		}
	}
	return b.String(), true
}

// compileTemplate: "*" and "{name}" are one segment, "**" is the rest, which may
// have text after it; "{name=*}" and "{name=**}" name them.
func compileTemplate(t string) (*Template, error) {
	if !strings.HasPrefix(t, "/") {
		return nil, strict.Errorf("", "does not begin with /")
	}
	var expr strings.Builder
	var names []string
	rest := false // ** was there
	for _, part := range strings.Split(t[1:], "/") {
		if rest {
			return nil, strict.Errorf("", "has a segment after **")
		}
		expr.WriteByte('/')
		glob, after, named := part, "", ""
		if inner, found := strings.CutPrefix(part, "{"); found {
			inner, tail, closed := strings.Cut(inner, "}")
			if !closed {
				return nil, strict.Errorf("", "has an unclosed {")
			}
			name, pattern, has := strings.Cut(inner, "=")
			if !has {
				pattern = "*"
			}
			if pattern != "*" && pattern != "**" {
				return nil, strict.Errorf("", "a variable's pattern is neither * nor **")
			}
			if !variable.MatchString(name) || slices.Contains(names, name) || len(names) == maxVariables {
				return nil, strict.Errorf("", "%q is no name of a variable, or one too many", name)
			}
			names = append(names, name)
			glob, after, named = pattern, tail, "?P<"+name+">"
		} else if tail, found := strings.CutPrefix(part, "**"); found {
			glob, after = "**", tail
		}
		switch glob {
		case "*":
			expr.WriteString(`(` + named + `[` + segment + `]+)`)
		case "**":
			rest = true
			expr.WriteString(`(` + named + `[` + segment + `/]*)`)
		default:
			after = part
		}
		if strings.ContainsAny(after, "*{}") {
			return nil, strict.Errorf("", "segment %q mixes text with * or {}", part)
		}
		expr.WriteString(regexp.QuoteMeta(after))
	}
	re, err := regexp.Compile(`\A` + expr.String() + `\z`)
	if err != nil {
		return nil, err
	}
	prefix, _, _ := strings.Cut(t, "{")
	prefix, _, _ = strings.Cut(prefix, "*")
	return &Template{Prefix: prefix, re: re}, nil
}
