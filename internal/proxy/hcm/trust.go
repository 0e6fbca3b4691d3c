package hcm

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"strings"
	"unsafe"

	"crypto/sha256"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// sanitize removes what a client must not say and adds what the proxy knows:
// X-Forwarded-*, X-Forwarded-Client-Cert, x-request-id.
func (s *session) sanitize() {
	x, m := s.x, s.m
	h := &x.Request.Header
	inside := m.inside(x)
	outside := !inside && (!x.Conn.MTLS() || m.useRemote)
	h.DelFunc(func(f exchange.Field) bool {
		switch {
		case !strings.HasPrefix(f.Name, "x-envoy-"):
			return disguised(f.Name)
		case f.Name == upstream.DestinationHeader: // who has a cluster go by it lets its clients choose
			return m.useRemote && !inside
		}
		return outside || f.Name == internalName || !inside && insideOnly[f.Name]
	})
	if inside {
		h.Add(internalName, "true")
	}
	s.clientCert()
	s.forwarded(inside)
	if m.via != "" {
		addVia(h, m.via)
	}
	if m.requestID {
		id, ok := h.Lookup("x-request-id")
		if !ok || m.useRemote && !m.preserveID && !inside {
			id = s.newID()
			h.Set("x-request-id", id)
		}
		s.x.RequestID = id
	}
	if m.stripDot || m.stripPort || m.stripAnyPort {
		s.stripAuthority()
	}
}

// disguised tells whether a name is one of what the proxy says itself, written with
// underscores: a server that makes variables of fields (CGI, WSGI) cannot tell the
// two apart.
func disguised(name string) bool {
	if strings.IndexByte(name, '_') < 0 {
		return false
	}
	name = strings.ReplaceAll(name, "_", "-")
	return strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "x-forwarded-") || name == "x-request-id"
}

// forwarded sets X-Forwarded-For and X-Forwarded-Proto, and the scheme.
func (s *session) forwarded(inside bool) {
	x, m := s.x, s.m
	h := &x.Request.Header
	scheme := "http"
	if x.Conn.TLS {
		scheme = "https"
	}
	proto := h.Get("x-forwarded-proto")
	if m.useRemote {
		if s.peer == "" {
			s.peer = x.Conn.Remote.Addr().String()
		}
		x.Client = m.client(joined(h, "x-forwarded-for"))
		if !inside {
			external := s.peer
			if x.Client.IsValid() {
				external = x.Client.String()
			}
			h.Set("x-envoy-external-address", external)
		}
		if !m.skipXFFAppend {
			peer := s.peer
			if old := joined(h, "x-forwarded-for"); old != "" {
				peer = old + "," + peer
			}
			h.Set("x-forwarded-for", peer)
		}
		if m.trustedHops == 0 {
			proto = ""
		}
	}
	if proto != "http" && proto != "https" {
		proto = scheme
	}
	h.Set("x-forwarded-proto", proto)
	x.Request.Scheme = proto
}

// client gives the address of who asks as the first of the trusted proxies has said it;
// not valid: the connection's counts.
func (m *Manager) client(forwarded string) netip.Addr {
	for hops := m.trustedHops; hops > 0; hops-- {
		i := strings.LastIndexByte(forwarded, ',')
		if hops == 1 {
			if a, err := netip.ParseAddr(strings.TrimSpace(forwarded[i+1:])); err == nil {
				return a.Unmap().WithZone("") // as a connection's: a zone is any text, and a header's here
			}
		}
		if i < 0 {
			break
		}
		forwarded = forwarded[:i]
	}
	return netip.Addr{}
}

// addVia says that a message went through this proxy, too.
func addVia(h *exchange.Header, via string) {
	if old := joined(h, "via"); old != "" {
		via = old + ", " + via
	}
	h.Set("via", via)
}

// joined gives all values of a field, by commas.
func joined(h *exchange.Header, name string) string {
	if h.Count(name) < 2 {
		return h.Get(name)
	}
	var all []string
	for _, f := range h.Fields() {
		if f.Name == name {
			all = append(all, f.Value)
		}
	}
	return strings.Join(all, ",")
}

const xfccName = "x-forwarded-client-cert"

// clientCert sets X-Forwarded-Client-Cert. What a peer without an identity in the mesh
// says of it is removed in every mode.
func (s *session) clientCert() {
	x, m := s.x, s.m
	h := &x.Request.Header
	if !x.Conn.MTLS() || m.xfcc == hcmv3.HttpConnectionManager_SANITIZE {
		h.Del(xfccName)
		return
	}
	if m.xfcc == hcmv3.HttpConnectionManager_FORWARD_ONLY {
		if x.Conn.Foreign {
			h.Del(xfccName)
		}
		return
	}
	if s.xfccOf != m {
		s.xfcc, s.xfccOf = m.certificate(x.Conn), m
	}
	v := s.xfcc
	if m.xfcc == hcmv3.HttpConnectionManager_APPEND_FORWARD && !x.Conn.Foreign {
		if old := joined(h, xfccName); old != "" {
			v = old + "," + v
		}
	}
	h.Set(xfccName, v)
}

// certificate describes the peer in the form of X-Forwarded-Client-Cert.
func (m *Manager) certificate(c *exchange.Conn) string {
	var b strings.Builder
	if m.o.LocalURI != nil {
		if u := m.o.LocalURI(); u != "" {
			b.WriteString("By=" + u + ";")
		}
	}
	sum := sha256.Sum256(c.Peer.Raw)
	b.WriteString("Hash=" + hex.EncodeToString(sum[:]))
	d := m.xfccDetails
	if d.GetSubject().GetValue() {
		b.WriteString(`;Subject="` + strings.ReplaceAll(strings.ReplaceAll(c.Peer.Subject.String(), `\`, `\\`), `"`, `\"`) + `"`)
	}
	if d.GetUri() && !c.Foreign {
		b.WriteString(";URI=" + c.PeerURI)
	}
	if d.GetDns() {
		for _, n := range c.Peer.DNSNames {
			b.WriteString(";DNS=" + n)
		}
	}
	return b.String()
}

// newID makes a random UUID (version 4) in the session's own memory: it holds
// until the next request. It only has to be different, not secret.
func (s *session) newID() string {
	var raw [16]byte
	a, b := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		raw[i], raw[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	hex.Encode(s.id[0:8], raw[0:4])
	hex.Encode(s.id[9:13], raw[4:6])
	hex.Encode(s.id[14:18], raw[6:8])
	hex.Encode(s.id[19:23], raw[8:10])
	hex.Encode(s.id[24:36], raw[10:16])
	s.id[8], s.id[13], s.id[18], s.id[23] = '-', '-', '-', '-'
	return unsafe.String(&s.id[0], len(s.id))
}

// stripAuthority cuts the port or a trailing dot off the authority.
func (s *session) stripAuthority() {
	x, m := s.x, s.m
	host, port := x.Request.Authority, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i:]
	}
	if m.stripDot {
		host = strings.TrimSuffix(host, ".")
	}
	if port != "" && (m.stripAnyPort || m.stripPort && port[1:] == portText(x.Conn.Local.Port())) {
		port = ""
	}
	if len(host)+len(port) != len(x.Request.Authority) {
		x.Request.Authority = host + port
	}
}
