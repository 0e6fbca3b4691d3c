package upstream

import (
	"encoding/binary"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// PassTLVs are the types of TLVs of the PROXY protocol that are passed on: nil, none.
type PassTLVs struct {
	all   bool
	types [256]bool
}

// CompilePassTLVs compiles pass_through_tlvs.
func CompilePassTLVs(m *corev3.ProxyProtocolPassThroughTLVs) (*PassTLVs, error) {
	if m == nil {
		return nil, nil
	}
	if err := strict.Only(m, "match_type", "tlv_type"); err != nil {
		return nil, err
	}
	p := new(PassTLVs)
	switch m.GetMatchType() {
	case corev3.ProxyProtocolPassThroughTLVs_INCLUDE_ALL:
		p.all = true
	case corev3.ProxyProtocolPassThroughTLVs_INCLUDE:
	default:
		return nil, strict.Errorf("match_type", "%d: %w", m.GetMatchType(), strict.ErrUnsupported)
	}
	for i, t := range m.GetTlvType() {
		if t > 255 {
			return nil, strict.AtIndex("tlv_type", i, strict.Errorf("", "above 255"))
		}
		p.types[t] = true
	}
	return p, nil
}

// Has tells whether a type is passed on.
func (p *PassTLVs) Has(t byte) bool { return p != nil && (p.all || p.types[t]) }

// maxTLVs bounds the bytes of TLVs that a configuration adds: a header has room for 64 KiB,
// of which clients' own may take some.
const maxTLVs = 32 << 10

// CompileTLVs compiles TLVs of literal values.
func CompileTLVs(list []*corev3.TlvEntry) (out []exchange.TLV, err error) {
	size := 0
	for i, e := range list {
		if err := strict.Only(e, "type", "value"); err != nil {
			return nil, strict.AtIndex("", i, err)
		}
		if e.GetType() > 255 {
			return nil, strict.AtIndex("", i, strict.Errorf("type", "above 255"))
		}
		if size += 3 + len(e.GetValue()); size > maxTLVs {
			return nil, strict.AtIndex("", i, strict.Errorf("value", "more than %d bytes in all", maxTLVs))
		}
		out = append(out, exchange.TLV{Type: byte(e.GetType()), Value: string(e.GetValue())})
	}
	return out, nil
}

func appendTLVs(b []byte, list []exchange.TLV) []byte {
	for _, t := range list {
		b = binary.BigEndian.AppendUint16(append(b, t.Type), uint16(len(t.Value)))
		b = append(b, t.Value...)
	}
	return b
}
