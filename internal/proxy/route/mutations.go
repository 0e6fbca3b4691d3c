package route

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// mutations are fields that a configuration adds and removes.
type mutations struct {
	addRequest, addResponse       []addition
	removeRequest, removeResponse []string
}

type addition struct {
	name, value string
	format      *format.Format // instead of a value; nil: none
	keepEmpty   bool
	action      corev3.HeaderValueOption_HeaderAppendAction
}

// carrier is what all levels of a route configuration have.
type carrier interface {
	GetRequestHeadersToAdd() []*corev3.HeaderValueOption
	GetRequestHeadersToRemove() []string
	GetResponseHeadersToAdd() []*corev3.HeaderValueOption
	GetResponseHeadersToRemove() []string
}

// compileMutations gives nil if there is nothing to do.
func compileMutations(c carrier) (*mutations, error) {
	m := new(mutations)
	var err error
	if m.addRequest, err = compileAdditions(c.GetRequestHeadersToAdd()); err != nil {
		return nil, strict.At("request_headers_to_add", err)
	}
	if m.addResponse, err = compileAdditions(c.GetResponseHeadersToAdd()); err != nil {
		return nil, strict.At("response_headers_to_add", err)
	}
	if m.removeRequest, err = compileRemovals(c.GetRequestHeadersToRemove()); err != nil {
		return nil, strict.At("request_headers_to_remove", err)
	}
	if m.removeResponse, err = compileRemovals(c.GetResponseHeadersToRemove()); err != nil {
		return nil, strict.At("response_headers_to_remove", err)
	}
	if m.addRequest == nil && m.addResponse == nil && m.removeRequest == nil && m.removeResponse == nil {
		return nil, nil
	}
	return m, nil
}

// Additions are fields that a configuration adds.
type Additions []addition

// CompileAdditions compiles a list of HeaderValueOption for a filter.
func CompileAdditions(list []*corev3.HeaderValueOption) (Additions, error) {
	return compileAdditions(list)
}

// Request adds them to the request.
func (l Additions) Request(x *exchange.Exchange) { mutate(x, &x.Request.Header, nil, l) }

// Response adds them to the response.
func (l Additions) Response(x *exchange.Exchange) { mutate(x, &x.Response.Header, nil, l) }

func compileRemovals(names []string) (out []string, err error) {
	for i, n := range names {
		if n == "" || n[0] == ':' || strings.EqualFold(n, "host") {
			return nil, strict.AtIndex("", i, strict.Errorf("", "%q must not be removed", n))
		}
		out = append(out, strings.ToLower(n))
	}
	return out, nil
}

func compileAdditions(list []*corev3.HeaderValueOption) (out []addition, err error) {
	for i, o := range list {
		a, err := compileAddition(o)
		if err != nil {
			return nil, strict.AtIndex("", i, err)
		}
		if a.value != "" || a.format != nil || a.keepEmpty {
			out = append(out, a)
		}
	}
	return out, nil
}

func compileAddition(o *corev3.HeaderValueOption) (a addition, err error) {
	if err := strict.Only(o, "header", "append", "append_action", "keep_empty_value"); err != nil {
		return a, err
	}
	if err := strict.Only(o.GetHeader(), "key", "value"); err != nil {
		return a, strict.At("header", err)
	}
	a = addition{name: strings.ToLower(o.GetHeader().GetKey()), keepEmpty: o.GetKeepEmptyValue(), action: o.GetAppendAction()}
	if a.name == "" || a.name[0] == ':' || a.name == "host" {
		return a, strict.Errorf("header.key", "%q must not be set", a.name)
	}
	f, err := format.Text(o.GetHeader().GetValue(), true)
	if err != nil {
		return a, strict.At("header.value", err)
	}
	var literal bool
	if a.value, literal = f.Literal(); !literal {
		a.format = f
	}
	for i := range len(a.value) {
		if c := a.value[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return a, strict.Errorf("header.value", "holds a control character")
		}
	}
	if v := o.GetAppend(); v != nil && !v.GetValue() {
		a.action = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
	}
	return a, nil
}

// mutate removes, then replaces, then adds. Which additions apply, and what their
// values are, is decided by the fields as they are once the removals are done (Envoy's
// order).
func mutate(x *exchange.Exchange, h *exchange.Header, remove []string, add []addition) {
	for _, n := range remove {
		h.Del(n)
	}
	var few [16]string
	values := few[:0]
	for i := range add {
		values = append(values, add[i].of(x, h))
	}
	for i := range add {
		if a := &add[i]; values[i] != none && a.replaces() {
			h.Set(a.name, values[i])
		}
	}
	for i := range add {
		if a := &add[i]; values[i] != none && !a.replaces() {
			h.Add(a.name, values[i])
		}
	}
}

// none is no value of a field: the addition does not apply.
const none = "\x00"

// of gives the value that is to be added to h, none for nothing.
func (a *addition) of(x *exchange.Exchange, h *exchange.Header) string {
	switch {
	case !a.applies(h):
		return none
	case a.format == nil:
		return a.value
	}
	s := format.Subject{X: x, Bare: true}
	b := a.format.Append(nil, &s)
	if len(b) == 0 && !a.keepEmpty {
		return none
	}
	for i, c := range b { // such as of a token's claims (RFC 9110, 5.5)
		if c < 0x20 && c != '\t' || c == 0x7f {
			b[i] = ' '
		}
	}
	if len(b) > maxValue {
		b = b[:maxValue]
	}
	if s.Secret { // what is copied is as secret
		x.Redact([]exchange.Secret{{Kind: exchange.SecretHeader, Name: a.name}})
	}
	return string(b)
}

// maxValue bounds what a format makes, in bytes.
const maxValue = 16 << 10

func (a *addition) replaces() bool {
	return a.action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD || a.action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS
}

func (a *addition) applies(h *exchange.Header) bool {
	_, there := h.Lookup(a.name)
	switch a.action {
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		return !there
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		return there
	}
	return true
}

func (m *mutations) request(x *exchange.Exchange) {
	mutate(x, &x.Request.Header, m.removeRequest, m.addRequest)
}

func (m *mutations) response(x *exchange.Exchange) {
	mutate(x, &x.Response.Header, m.removeResponse, m.addResponse)
}
