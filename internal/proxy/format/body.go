package format

import (
	"cmp"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Body makes the content of an answer.
type Body struct {
	ContentType string
	format      *Format
}

// CompileBody compiles Envoy's SubstitutionFormatString for a content.
func CompileBody(m *corev3.SubstitutionFormatString) (*Body, error) {
	f, err := Compile(m)
	if err != nil {
		return nil, err
	}
	kind := "text/plain"
	if m.GetJsonFormat() != nil {
		kind = "application/json"
	}
	return &Body{cmp.Or(m.GetContentType(), kind), f}, nil
}

// Of gives the content; text is what %LOCAL_REPLY_BODY% stands for. It is the client's,
// who may see what it has sent itself.
func (b *Body) Of(x *exchange.Exchange, text string) string {
	return string(b.format.Append(nil, &Subject{X: x, Bare: true, Body: text}))
}
