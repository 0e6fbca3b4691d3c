package extauthz

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and servers send them.

import (
	"errors"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

// mutation is one header that the server wants added or changed.
type mutation struct {
	name, value string
	action      corev3.HeaderValueOption_HeaderAppendAction
	appends     bool // the older field append is true
	adds        bool // it stands beside what is there
}

// errInvalid is a change that no server may ask for.
var errInvalid = errors.New("the authorization server's answer holds an invalid change")

// mutations reads a list of the server's. Pseudo-headers and what frames a message are
// invalid: path, host and method are what was judged until here.
func mutations(list []*corev3.HeaderValueOption) ([]mutation, error) {
	var out []mutation
	for _, o := range list {
		m := mutation{name: strings.ToLower(o.GetHeader().GetKey()), value: o.GetHeader().GetValue(), action: o.GetAppendAction()}
		if raw := o.GetHeader().GetRawValue(); len(raw) > 0 {
			m.value = string(raw)
		}
		if a := o.GetAppend(); a != nil {
			m.appends, m.action = a.GetValue(), corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
			if !m.appends {
				m.action = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
			}
		}
		if _, known := corev3.HeaderValueOption_HeaderAppendAction_name[int32(m.action)]; !known || !http1.Settable(m.name) || !http1.ValidValue(m.value) {
			return nil, errInvalid
		}
		out = append(out, m)
	}
	return out, nil
}

// applyRequest changes a request's headers. Envoy reads no append_action there: a field
// replaces those of its name, or, with append, is joined to one that is there.
func applyRequest(l []mutation, h *exchange.Header) {
	for _, m := range l {
		if !m.appends && !m.adds {
			h.Set(m.name, m.value)
		}
	}
	for _, m := range l {
		if m.adds {
			h.Add(m.name, m.value)
		}
	}
	for _, m := range l {
		if old, there := h.Lookup(m.name); m.appends && there {
			h.Set(m.name, old+","+m.value)
		}
	}
}

// apply changes an answer's headers.
func (m *mutation) apply(h *exchange.Header) {
	_, there := h.Lookup(m.name)
	switch {
	case m.action == corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD, m.action == corev3.HeaderValueOption_ADD_IF_ABSENT && !there:
		h.Add(m.name, m.value)
	case m.action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, m.action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS && there:
		h.Set(m.name, m.value)
	}
}

// permit is what a consent changes.
type permit struct {
	request, response []mutation
	remove            []string
	path              string // "": as it is
}

// consent reads a consent. All of it is valid, or nothing is changed.
func consent(path string, ok *authv3.OkHttpResponse) (p permit, err error) {
	if p.request, err = mutations(ok.GetHeaders()); err != nil {
		return p, err
	}
	if p.response, err = mutations(ok.GetResponseHeadersToAdd()); err != nil {
		return p, err
	}
	for _, n := range ok.GetHeadersToRemove() {
		n = strings.ToLower(n)
		if !strings.HasPrefix(n, ":") && n != "host" { // Envoy, too, leaves those alone
			if !http1.Settable(n) {
				return p, errInvalid
			}
			p.remove = append(p.remove, n)
		}
	}
	p.path, err = query(path, ok)
	return p, err
}

// query changes the parameters of a path; "" for no change.
func query(path string, ok *authv3.OkHttpResponse) (string, error) {
	if len(ok.GetQueryParametersToSet()) == 0 && len(ok.GetQueryParametersToRemove()) == 0 {
		return "", nil
	}
	drop := map[string]bool{}
	for _, n := range ok.GetQueryParametersToRemove() {
		drop[n] = true
	}
	var added []string
	for _, q := range ok.GetQueryParametersToSet() {
		pair := q.GetKey() + "=" + q.GetValue()
		if q.GetKey() == "" || !http1.ValidTarget(pair) || strings.ContainsAny(q.GetKey(), "&#?=") || strings.ContainsAny(q.GetValue(), "&#") {
			return "", errInvalid
		}
		if !drop[q.GetKey()] {
			added = append(added, pair)
		}
		drop[q.GetKey()] = true
	}
	before, old, _ := strings.Cut(path, "?")
	var kept []string
	for _, pair := range strings.Split(old, "&") {
		if name, _, _ := strings.Cut(pair, "="); pair != "" && !drop[name] {
			kept = append(kept, pair)
		}
	}
	if kept = append(kept, added...); len(kept) == 0 {
		return before, nil
	}
	return before + "?" + strings.Join(kept, "&"), nil
}

// apply changes the request.
func (p *permit) apply(x *exchange.Exchange) {
	applyRequest(p.request, &x.Request.Header)
	for _, n := range p.remove {
		x.Request.Header.Del(n)
	}
	if p.path != "" {
		x.Request.Path = p.path
	}
}

// reroutes tells whether the route may be another now. Names are those of the fields that
// routes look at; none: any.
func (p *permit) reroutes(names map[string]bool) bool {
	if p.path != "" || names == nil && len(p.request)+len(p.remove) > 0 {
		return true
	}
	for _, m := range p.request {
		if names[m.name] {
			return true
		}
	}
	return slices.ContainsFunc(p.remove, func(n string) bool { return names[n] })
}
