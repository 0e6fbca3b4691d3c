package upstream

import (
	"net"
	"strings"
	"syscall"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestKeepalive holds that a connection's socket has what upstream_connection_options says.
func TestKeepalive(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	n := wrapperspb.UInt32
	for name, tc := range map[string]struct {
		in     *corev3.TcpKeepalive
		on     int
		option int
		want   int
	}{
		"time":     {&corev3.TcpKeepalive{KeepaliveTime: n(7)}, 1, syscall.TCP_KEEPIDLE, 7},
		"interval": {&corev3.TcpKeepalive{KeepaliveInterval: n(8)}, 1, syscall.TCP_KEEPINTVL, 8},
		"probes":   {&corev3.TcpKeepalive{KeepaliveProbes: n(9)}, 1, syscall.TCP_KEEPCNT, 9},
		"off":      {&corev3.TcpKeepalive{KeepaliveProbes: n(0)}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Cluster{}
			if err := c.keepaliveOptions(&clusterv3.UpstreamConnectionOptions{TcpKeepalive: tc.in}); err != nil {
				t.Fatal(err)
			}
			h := &Host{cluster: c, Text: ln.Addr().String()}
			conn, err := h.dialRaw(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			raw, err := conn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if err := raw.Control(func(fd uintptr) {
				if on, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); err != nil || on != tc.on {
					t.Errorf("SO_KEEPALIVE %d, %v, want %d", on, err, tc.on)
				}
				if tc.option == 0 {
					return
				}
				if got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tc.option); err != nil || got != tc.want {
					t.Errorf("option %d is %d, %v, want %d", tc.option, got, err, tc.want)
				}
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
	for field, o := range map[string]*clusterv3.UpstreamConnectionOptions{
		"tcp_keepalive.keepalive_time":                     {TcpKeepalive: &corev3.TcpKeepalive{KeepaliveTime: n(32768)}},
		"set_local_interface_name_on_upstream_connections": {SetLocalInterfaceNameOnUpstreamConnections: true},
		"happy_eyeballs_config":                            {HappyEyeballsConfig: &clusterv3.UpstreamConnectionOptions_HappyEyeballsConfig{}},
	} {
		if err := new(Cluster).keepaliveOptions(o); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
