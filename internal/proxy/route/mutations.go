package route

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// mutations are fields that a configuration adds and removes.
type mutations struct {
	addRequest, addResponse       []addition
	removeRequest, removeResponse []string
}

type addition struct {
	name, value string
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

// Apply adds them.
func (l Additions) Apply(h *exchange.Header) { mutate(h, nil, l) }

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
		if a.value != "" || o.GetKeepEmptyValue() {
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
	a = addition{name: strings.ToLower(o.GetHeader().GetKey()), value: o.GetHeader().GetValue(), action: o.GetAppendAction()}
	if a.name == "" || a.name[0] == ':' || a.name == "host" {
		return a, strict.Errorf("header.key", "%q must not be set", a.name)
	}
	if strings.Contains(strings.ReplaceAll(a.value, "%%", ""), "%") {
		return a, strict.Errorf("header.value", "formatters: %w", strict.ErrUnsupported)
	}
	a.value = strings.ReplaceAll(a.value, "%%", "%")
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

// mutate removes, then replaces, then adds. Which additions apply is decided by the
// fields as they are once the removals are done (Envoy's order).
func mutate(h *exchange.Header, remove []string, add []addition) {
	for _, n := range remove {
		h.Del(n)
	}
	var few [16]bool
	applies := few[:0]
	for i := range add {
		applies = append(applies, add[i].applies(h))
	}
	for i := range add {
		if a := &add[i]; applies[i] && a.replaces() {
			h.Set(a.name, a.value)
		}
	}
	for i := range add {
		if a := &add[i]; applies[i] && !a.replaces() {
			h.Add(a.name, a.value)
		}
	}
}

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
	mutate(&x.Request.Header, m.removeRequest, m.addRequest)
}

func (m *mutations) response(x *exchange.Exchange) {
	mutate(&x.Response.Header, m.removeResponse, m.addResponse)
}
