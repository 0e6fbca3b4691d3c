package match

import (
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	templatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Characters of a path segment that * and ** take (RFC 3986, 3.3, less "*").
const segment = `a-zA-Z0-9\-._~%!$&'()+,;:@=`

// CompileTemplate compiles a path match extension, of which uri_template is the
// one that is supported. It is asked about a path without query (CutPath).
func CompileTemplate(m *corev3.TypedExtensionConfig) (String, error) {
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
	s, err := compileTemplate(t.GetPathTemplate())
	return s, strict.At("typed_config.path_template", err)
}

// compileTemplate: "*" and "{name}" are one segment, "**" is the rest, which may
// have text after it; "{name=*}" and "{name=**}" name them.
func compileTemplate(t string) (String, error) {
	if !strings.HasPrefix(t, "/") {
		return nil, strict.Errorf("", "does not begin with /")
	}
	var expr strings.Builder
	rest := false // ** was there
	for _, part := range strings.Split(t[1:], "/") {
		if rest {
			return nil, strict.Errorf("", "has a segment after **")
		}
		expr.WriteByte('/')
		glob, after := part, ""
		if name, found := strings.CutPrefix(part, "{"); found {
			inner, tail, closed := strings.Cut(name, "}")
			if !closed {
				return nil, strict.Errorf("", "has an unclosed {")
			}
			glob, after = "*", tail
			if _, pattern, named := strings.Cut(inner, "="); named {
				glob = pattern
			}
			if glob != "*" && glob != "**" {
				return nil, strict.Errorf("", "a variable's pattern is neither * nor **")
			}
		} else if tail, found := strings.CutPrefix(part, "**"); found {
			glob, after = "**", tail
		}
		switch glob {
		case "*":
			expr.WriteString(`[` + segment + `]+`)
		case "**":
			rest = true
			expr.WriteString(`[` + segment + `/]*`)
		default:
			after = part
		}
		if strings.ContainsAny(after, "*{}") {
			return nil, strict.Errorf("", "segment %q mixes text with * or {}", part)
		}
		expr.WriteString(regexp.QuoteMeta(after))
	}
	return fullMatch(expr.String())
}
