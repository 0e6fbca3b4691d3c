package upstream

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"net/netip"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// originalDst is a cluster of whichever addresses connections were made to before they
// came here (type ORIGINAL_DST), or as filters or requests say in place of these.
type originalDst struct {
	header   string   // of the request, that may name the address; "": none
	metadata []string // namespace and path of the dynamic metadata that may; nil: none
	port     uint16   // in place of the address's; 0: that
	every    time.Duration
	cleanup  *time.Timer // nil until there was a host; guarded by the cluster's lock
}

// DestinationHeader is the field that names the address, unless a cluster says which
// (http_header_name).
const DestinationHeader = "x-envoy-original-dst-host"

const (
	defaultCleanup = 5 * time.Second
	minCleanup     = time.Millisecond
)

// originalDestination compiles a cluster of type ORIGINAL_DST.
func (c *Cluster) originalDestination(m *clusterv3.Cluster) error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"load_assignment", m.GetLoadAssignment() != nil}, {"eds_cluster_config", m.GetEdsClusterConfig() != nil},
		{"health_checks", m.GetHealthChecks() != nil}, {"outlier_detection", m.GetOutlierDetection() != nil},
		{"lb_subset_config", m.GetLbSubsetConfig() != nil},
		{"dns_refresh_rate", m.GetDnsRefreshRate() != nil}, {"respect_dns_ttl", m.GetRespectDnsTtl()}, {"dns_lookup_family", m.GetDnsLookupFamily() != 0},
	} {
		if f.set {
			return strict.Errorf(f.name, "of type ORIGINAL_DST: %w", strict.ErrUnsupported)
		}
	}
	o := &originalDst{every: defaultCleanup}
	if d := m.GetCleanupInterval(); d != nil {
		if o.every = d.AsDuration(); d.CheckValid() != nil || o.every <= 0 {
			return strict.Errorf("cleanup_interval", "must be above 0")
		}
		o.every = max(o.every, minCleanup)
	}
	if err := o.compile(m.GetOriginalDstLbConfig()); err != nil {
		return strict.At("original_dst_lb_config", err)
	}
	c.original, c.named, c.maxNamed = o, make(map[string]*Host), defaultNamed
	return nil
}

func (o *originalDst) compile(m *clusterv3.Cluster_OriginalDstLbConfig) error {
	if err := strict.Only(m, "use_http_header", "http_header_name", "upstream_port_override", "metadata_key"); err != nil {
		return err
	}
	if name := m.GetHttpHeaderName(); m.GetUseHttpHeader() {
		o.header = DestinationHeader
		if name != "" {
			if o.header = strings.ToLower(name); !http1.ValidName(o.header) {
				return strict.Errorf("http_header_name", "%q is no name of a header", name)
			}
		}
	} else if name != "" {
		return strict.Errorf("http_header_name", "without use_http_header")
	}
	if p := m.GetUpstreamPortOverride(); p != nil {
		if p.GetValue() == 0 || p.GetValue() > 65535 {
			return strict.Errorf("upstream_port_override", "%d is not a port", p.GetValue())
		}
		o.port = uint16(p.GetValue())
	}
	return strict.At("metadata_key", o.key(m.GetMetadataKey()))
}

func (o *originalDst) key(m *metadatav3.MetadataKey) error {
	if m == nil {
		return nil
	}
	if err := strict.Only(m, "key", "path"); err != nil {
		return err
	}
	switch {
	case m.GetKey() == "":
		return strict.Errorf("key", "empty")
	case len(m.GetPath()) == 0:
		return strict.Errorf("path", "empty")
	}
	o.metadata = []string{m.GetKey()}
	for i, s := range m.GetPath() {
		if s.GetKey() == "" {
			return strict.AtIndex("path", i, strict.Errorf("key", "empty"))
		}
		o.metadata = append(o.metadata, s.GetKey())
	}
	return nil
}

// destination gives the address of a request or connection: a filter's word goes before
// metadata, these before the request's header, and that before the address that the
// connection was made to, as in Envoy. Invalid counts words that are no address.
func (o *originalDst) destination(a *Ask, invalid func()) (to netip.AddrPort, ok bool) {
	if x := a.For; x != nil && x.Destination.IsValid() {
		return x.Destination, true
	}
	if text, said := o.told(a.For); said {
		if to, ok = exchange.ParseDestination(text); ok {
			return to, true
		}
		invalid()
	}
	if o.header != "" && a.Header != nil {
		if text, said := a.Header.Lookup(o.header); said {
			if to, ok = exchange.ParseDestination(text); ok {
				return to, true
			}
			invalid()
		}
	}
	if x := a.For; x != nil && x.Conn != nil && x.Conn.Restored() {
		return x.Conn.Local, true
	}
	return to, false
}

// leadsBack tells whether an address is the one that the connection was accepted at: what is
// sent there comes again, with the same word of where to send it.
func leadsBack(to netip.AddrPort, x *exchange.Exchange) bool {
	if x == nil || x.Conn == nil || to.Port() != x.Conn.Accepted.Port() {
		return false
	}
	at, addr := x.Conn.Accepted.Addr().WithZone(""), to.Addr().Unmap()
	return addr == at || addr.IsUnspecified() && at.IsLoopback()
}

// told gives what the dynamic metadata say, if that is a string.
func (o *originalDst) told(x *exchange.Exchange) (text string, ok bool) {
	if o.metadata == nil || x == nil {
		return "", false
	}
	v := x.Metadata[o.metadata[0]][o.metadata[1]]
	for _, key := range o.metadata[2:] {
		v = v.Get(key)
	}
	return v.Text()
}

// pickOriginal gives the host of the destination, which is made if there is none.
func (c *Cluster) pickOriginal(a Ask) (*Host, error) {
	to, ok := c.original.destination(&a, c.Counts.NoDestination.Inc)
	if !ok {
		c.Counts.CxNoneHealthy.Inc()
		return nil, ErrNoHealthy
	}
	if p := c.original.port; p != 0 {
		to = netip.AddrPortFrom(to.Addr(), p)
	}
	if leadsBack(to, a.For) {
		return nil, ErrForbidden
	}
	if guard := c.opts.DialAllowed; guard != nil {
		if err := guard(to); err != nil {
			return nil, ErrForbidden
		}
	}
	var room [64]byte
	text := to.AppendTo(room[:0])
	now := c.opts.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrNoHealthy
	}
	h := c.named[string(text)]
	if h == nil {
		if len(c.named) >= c.maxNamed {
			c.evict()
			c.Counts.Members.Inc()
		}
		h = c.host(hostKey{addr: to, name: c.Name + string(text), socket: c.matchSocket(nil, nil)})
		c.named[h.Text] = h
		c.Counts.Members.Inc()
		c.cleanLater()
	}
	h.used = now
	return h, nil
}

// cleanLater has hosts let go that are not used any more. The lock is held.
func (c *Cluster) cleanLater() {
	switch o := c.original; {
	case o.cleanup == nil:
		o.cleanup = time.AfterFunc(o.every, c.clean)
	case len(c.named) == 1: // it rests while there is none
		o.cleanup.Reset(o.every)
	}
}

// clean lets go of hosts without a connection that nobody has asked for since the last
// time.
func (c *Cluster) clean() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	before := c.opts.Now().Add(-c.original.every)
	gone := false
	for text, h := range c.named {
		if h.Counts.CxActive.Load() == 0 && h.active.Load() == 0 && !h.used.After(before) {
			delete(c.named, text)
			h.drain()
			gone = true
		}
	}
	if gone {
		c.Counts.Members.Inc()
	}
	if len(c.named) > 0 {
		c.original.cleanup.Reset(c.original.every)
	}
}

// stop ends the cleanup. The cluster's lock is held.
func (o *originalDst) stop() {
	if o.cleanup != nil {
		o.cleanup.Stop()
	}
}
