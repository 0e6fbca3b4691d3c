package upstream

import (
	"net"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// keepaliveOptions compiles upstream_connection_options. What tcp_keepalive leaves out is
// the system's; a 0 of it turns probes off.
func (c *Cluster) keepaliveOptions(o *clusterv3.UpstreamConnectionOptions) error {
	if err := strict.Only(o, "tcp_keepalive"); err != nil {
		return err
	}
	k := o.GetTcpKeepalive()
	if k == nil {
		return nil
	}
	if err := strict.Only(k, "keepalive_probes", "keepalive_time", "keepalive_interval"); err != nil {
		return strict.At("tcp_keepalive", err)
	}
	out := net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}
	for _, f := range []struct {
		name string
		v    *wrapperspb.UInt32Value
		most uint32 // of the kernel
		set  func(int)
	}{
		{"keepalive_probes", k.GetKeepaliveProbes(), 127, func(n int) { out.Count = n }},
		{"keepalive_time", k.GetKeepaliveTime(), 32767, func(n int) { out.Idle = time.Duration(n) * time.Second }},
		{"keepalive_interval", k.GetKeepaliveInterval(), 32767, func(n int) { out.Interval = time.Duration(n) * time.Second }},
	} {
		switch n := f.v.GetValue(); {
		case f.v == nil:
		case n == 0:
			out.Enable, c.dialer.KeepAlive = false, -1
		case n > f.most:
			return strict.Errorf("tcp_keepalive."+f.name, "above %d", f.most)
		default:
			f.set(int(n))
		}
	}
	c.dialer.KeepAliveConfig = out
	return nil
}
