package hcm

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

// replies is a compiled LocalReplyConfig: what becomes of the proxy's own answers.
type replies struct {
	mappers []mapper
	body    *format.Body // nil: as it is
}

// mapper changes the answers that its filter takes.
type mapper struct {
	filter accesslog.Filter
	status int     // 0: stays
	text   *string // nil: stays
	add    route.Additions
	body   *format.Body // nil: that of all
}

func (m *Manager) localReplies(c *hcmv3.HttpConnectionManager) error {
	l := c.GetLocalReplyConfig()
	if l == nil {
		return nil
	}
	var err error
	m.replies, err = compileReplies(l)
	return strict.At("local_reply_config", err)
}

func compileReplies(m *hcmv3.LocalReplyConfig) (*replies, error) {
	if err := strict.Only(m, "mappers", "body_format"); err != nil {
		return nil, err
	}
	r := new(replies)
	var err error
	if r.body, err = compileBody("body_format", m.GetBodyFormat()); err != nil {
		return nil, err
	}
	for i, p := range m.GetMappers() {
		c, err := compileMapper(p)
		if err != nil {
			return nil, strict.AtIndex("mappers", i, err)
		}
		r.mappers = append(r.mappers, c)
	}
	return r, nil
}

func compileBody(path string, m *corev3.SubstitutionFormatString) (*format.Body, error) {
	if m == nil {
		return nil, nil
	}
	b, err := format.CompileBody(m)
	return b, strict.At(path, err)
}

func compileMapper(m *hcmv3.ResponseMapper) (p mapper, err error) {
	if err := strict.Only(m, "filter", "status_code", "body", "body_format_override", "headers_to_add"); err != nil {
		return p, err
	}
	if p.filter, err = accesslog.CompileFilter(m.GetFilter()); err != nil {
		return p, strict.At("filter", err)
	}
	if s := m.GetStatusCode(); s != nil {
		if p.status = int(s.GetValue()); p.status < 200 || p.status > 599 {
			return p, strict.Errorf("status_code", "%d is not one", p.status)
		}
	}
	if m.GetBody() != nil {
		b, err := tls.Data(m.GetBody())
		if err != nil {
			return p, strict.At("body", err)
		}
		text := string(b)
		p.text = &text
	}
	if p.add, err = route.CompileAdditions(m.GetHeadersToAdd()); err != nil {
		return p, strict.At("headers_to_add", err)
	}
	p.body, err = compileBody("body_format_override", m.GetBodyFormatOverride())
	return p, err
}

// rewrite changes an answer by the first mapper that takes it. It gives the content, and
// the type to set if it has changed.
func (r *replies) rewrite(x *exchange.Exchange, text string) (body, contentType string) {
	how := r.body
	for i := range r.mappers {
		m := &r.mappers[i]
		if !m.filter(x) {
			continue
		}
		if m.text != nil {
			text = *m.text
		}
		m.add.Response(x)
		if m.status != 0 {
			x.Response.Status = m.status
		}
		if m.body != nil {
			how = m.body
		}
		break
	}
	if how == nil {
		return text, "text/plain"
	}
	return how.Of(x, text), how.ContentType
}
