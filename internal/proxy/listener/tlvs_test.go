package listener

import (
	"fmt"
	"testing"

	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestMergeTLVs: what a TcpProxy adds to what came with the connection, as Envoy does.
func TestMergeTLVs(t *testing.T) {
	came := []exchange.TLV{{Type: 1, Value: "x"}, {Type: 2, Value: "y"}, {Type: 1, Value: "z"}}
	for _, tt := range []struct {
		policy string
		told   []exchange.TLV
		want   string
	}{
		{"ADD_IF_ABSENT", nil, "[{1 A} {3 B}]"},
		{"ADD_IF_ABSENT", []exchange.TLV{}, "[]"},
		{"ADD_IF_ABSENT", came, "[{1 x} {2 y} {1 z}]"},
		{"OVERWRITE_BY_TYPE_IF_EXISTS_OR_ADD", nil, "[{1 A} {3 B}]"},
		{"OVERWRITE_BY_TYPE_IF_EXISTS_OR_ADD", came, "[{1 A} {3 B} {2 y}]"},
		{"APPEND_IF_EXISTS_OR_ADD", nil, "[{1 A} {3 B}]"},
		{"APPEND_IF_EXISTS_OR_ADD", came, "[{1 x} {2 y} {1 z} {1 A} {3 B}]"},
	} {
		m := new(tcpv3.TcpProxy)
		proxytest.Decode(t, "{stat_prefix: t, cluster: c, proxy_protocol_tlv_merge_policy: "+tt.policy+", proxy_protocol_tlvs: [{type: 1, value: QQ==}, {type: 3, value: Qg==}]}", m)
		a, err := compileTLVs(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(a.merge(tt.told)); got != tt.want {
			t.Errorf("%s to %v: %s, want %s", tt.policy, tt.told, got, tt.want)
		}
	}
	if fmt.Sprint(came) != "[{1 x} {2 y} {1 z}]" {
		t.Error("what came is changed: ", came)
	}
}
