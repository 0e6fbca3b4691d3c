package listener

import (
	"slices"

	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// addedTLVs are what a TcpProxy adds to what the PROXY protocol tells of a connection, for
// clusters that pass it on.
type addedTLVs struct {
	list   []exchange.TLV
	policy tcpv3.ProxyProtocolTlvMergePolicy
}

func compileTLVs(m *tcpv3.TcpProxy) (a addedTLVs, err error) {
	if a.list, err = upstream.CompileTLVs(m.GetProxyProtocolTlvs()); err != nil {
		return a, strict.At("proxy_protocol_tlvs", err)
	}
	a.policy = m.GetProxyProtocolTlvMergePolicy()
	if _, known := tcpv3.ProxyProtocolTlvMergePolicy_name[int32(a.policy)]; !known {
		return a, strict.Errorf("proxy_protocol_tlv_merge_policy", "%d: %w", a.policy, strict.ErrUnsupported)
	}
	return a, nil
}

// merge gives what is told of a connection in the end. Nil: no header has come with it.
func (a *addedTLVs) merge(told []exchange.TLV) []exchange.TLV {
	switch {
	case told == nil:
		return a.list
	case a.policy == tcpv3.ProxyProtocolTlvMergePolicy_APPEND_IF_EXISTS_OR_ADD:
		return slices.Concat(told, a.list)
	case a.policy == tcpv3.ProxyProtocolTlvMergePolicy_OVERWRITE_BY_TYPE_IF_EXISTS_OR_ADD:
		others := slices.DeleteFunc(slices.Clone(told), func(t exchange.TLV) bool {
			return slices.ContainsFunc(a.list, func(own exchange.TLV) bool { return own.Type == t.Type })
		})
		return slices.Concat(a.list, others)
	}
	return told
}
