package upstream

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestAddressAsName: where endpoints are names, an address is one, too, unless the endpoint
// has another. Where they are addresses, none is a name.
func TestAddressAsName(t *testing.T) {
	for _, tt := range []struct{ typ, hostname, want string }{
		{"STRICT_DNS", "", "10.0.0.1"}, {"LOGICAL_DNS", "", "10.0.0.1"}, {"STRICT_DNS", "a.test", "a.test"}, {"STATIC", "", ""},
	} {
		m := new(clusterv3.Cluster)
		proxytest.Decode(t, "{name: c, type: "+tt.typ+", load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {hostname: \""+tt.hostname+"\", address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}]}]}}", m)
		c, err := Compile(m, Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Pick(t.Context(), Ask{}) // waits for the names
		if hosts := c.Hosts(); len(hosts) != 1 || hosts[0].Name != tt.want {
			t.Errorf("%+v: %v", tt, hosts)
		}
		c.Close()
	}
}
