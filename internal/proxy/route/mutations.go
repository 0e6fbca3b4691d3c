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
func (l Additions) Apply(h *exchange.Header) {
	for i := range l {
		l[i].apply(h)
	}
}

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
		out = append(out, a)
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

func (a *addition) apply(h *exchange.Header) {
	_, there := h.Lookup(a.name)
	switch a.action {
	case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
		h.Add(a.name, a.value)
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		if !there {
			h.Add(a.name, a.value)
		}
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
		h.Set(a.name, a.value)
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		if there {
			h.Set(a.name, a.value)
		}
	}
}

func (m *mutations) request(x *exchange.Exchange) {
	for _, n := range m.removeRequest {
		x.Request.Header.Del(n)
	}
	for i := range m.addRequest {
		m.addRequest[i].apply(&x.Request.Header)
	}
}

func (m *mutations) response(x *exchange.Exchange) {
	for _, n := range m.removeResponse {
		x.Response.Header.Del(n)
	}
	for i := range m.addResponse {
		m.addResponse[i].apply(&x.Response.Header)
	}
}
