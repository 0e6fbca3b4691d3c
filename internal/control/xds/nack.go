package xds

import (
	"strings"
	"unicode"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxMessage bounds what is kept of a proxy's message, in bytes.
const maxMessage = 512

// answered takes the ACK or NACK of the response that waits for one.
func (st *stream) answered(s *subscription, bad *rpcstatus.Status) {
	p := s.sent
	st.server.metrics.answers.WithLabelValues(s.kind.label()).Observe(st.server.o.Now().Sub(p.at).Seconds())
	defer st.expectAnswer()
	if bad == nil {
		s.acked(nil, true)
		return
	}
	refused, certain := rejectedOf(bad, p)
	st.server.metrics.nacks.WithLabelValues(s.kind.label()).Inc()
	st.nacks++
	st.log.Warn("the proxy refused resources", "type", s.kind.label(), "count", len(refused), "message", shorten(bad.GetMessage()))
	s.acked(refused, certain)
}

// rejectedOf gives the names that a NACK refuses, with messages. usher-proxy lists
// them in a Struct `{"rejected": {"<name>": "<message>"}}`, and the rest of the
// response is in force. Another proxy only has a text: then the names in it are
// meant, all of the response if there is none, and it is not certain what the
// proxy has of them.
func rejectedOf(bad *rpcstatus.Status, p *push) (refused map[string]string, certain bool) {
	refused = map[string]string{}
	for _, d := range bad.GetDetails() {
		var st structpb.Struct
		if d.MessageIs(&st) && d.UnmarshalTo(&st) == nil {
			listed := st.GetFields()["rejected"].GetStructValue().GetFields()
			for _, i := range p.items {
				if v, ok := listed[i.name]; ok {
					refused[i.name] = shorten(v.GetStringValue())
				}
			}
		}
	}
	if len(refused) > 0 {
		return refused, true
	}
	text := shorten(bad.GetMessage())
	for _, i := range p.items {
		if strings.Contains(bad.GetMessage(), i.name) {
			refused[i.name] = text
		}
	}
	if len(refused) == 0 {
		for _, i := range p.items {
			refused[i.name] = text
		}
	}
	return refused, false
}

// shorten makes a proxy's text fit for logs and status: bounded, one line, no
// control characters.
func shorten(s string) string {
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		// Cf turns text around or hides it, Zl and Zp end lines.
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
