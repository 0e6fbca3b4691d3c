package upstreams

import (
	"bufio"
	"bytes"
	"context"
	ctls "crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// proxiedServer takes connections that begin with the PROXY protocol.
type proxiedServer struct {
	net.Listener
	mu    sync.Mutex
	heads []string // of all connections, in order
}

// proxiedConn is a connection that has begun so.
type proxiedConn struct {
	net.Conn
	r    *bufio.Reader
	head string
	err  error
	once sync.Once
	of   *proxiedServer
}

func (s *proxiedServer) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &proxiedConn{Conn: c, r: bufio.NewReader(c), of: s}, nil
}

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// header takes the header off, and gives it as text.
func (c *proxiedConn) header() (string, error) {
	c.once.Do(func() {
		c.head, c.err = readHeader(c.r)
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.of.heads = append(c.of.heads, c.head)
	})
	return c.head, c.err
}

// ports are what differs between connections.
var ports = regexp.MustCompile(`\b\d{4,5}\b`)

// seen gives what connections have begun with.
func (s *proxiedServer) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heads)
}

func readHeader(r *bufio.Reader) (string, error) {
	b, err := r.Peek(12)
	switch {
	case err != nil:
		return "", err
	case string(b) == signature:
		b, err = r.Peek(16)
		if err != nil {
			return "", err
		}
		all := make([]byte, 16+int(binary.BigEndian.Uint16(b[14:])))
		if _, err = io.ReadFull(r, all); err != nil {
			return "", err
		}
		return fmt.Sprintf("v2 %x %s", all[12:16], addresses(all[13], all[16:])), nil
	case bytes.HasPrefix(b, []byte("PROXY ")):
		line, err := r.ReadString('\n')
		return "v1 " + strings.TrimSuffix(line, "\r\n"), err
	}
	return "none", nil
}

func addresses(family byte, b []byte) string {
	n := map[byte]int{0x11: 4, 0x21: 16}[family]
	if n == 0 {
		return fmt.Sprintf("%x", b)
	}
	from, to := net.IP(b[:n]), net.IP(b[n:2*n])
	return fmt.Sprintf("%s %s %d %d %q", from, to, binary.BigEndian.Uint16(b[2*n:]), binary.BigEndian.Uint16(b[2*n+2:]), b[2*n+4:])
}

func (c *proxiedConn) Read(b []byte) (int, error) {
	if _, err := c.header(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// serveProxied answers requests with the header of their connection; it speaks HTTP/1 and
// HTTP/2, inside TLS if that is asked for.
func serveProxied(t *testing.T, inTLS bool) (*proxiedServer, int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &proxiedServer{Listener: ln}
	type key struct{}
	h := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := r.Context().Value(key{}).(*proxiedConn)
			head, _ := c.header()
			fmt.Fprintf(w, "%s: %s", r.Proto, head)
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(*ctls.Conn); ok {
				c = t.NetConn()
			}
			return context.WithValue(ctx, key{}, c)
		},
		ReadHeaderTimeout: time.Minute,
		Protocols:         new(http.Protocols),
	}
	h.Protocols.SetHTTP1(true)
	h.Protocols.SetHTTP2(true)
	h.Protocols.SetUnencryptedHTTP2(true)
	if inTLS {
		other := httptest.NewUnstartedServer(nil)
		other.StartTLS()
		h.TLSConfig = &ctls.Config{Certificates: other.TLS.Certificates}
		other.Close()
		go h.ServeTLS(s, "", "")
	} else {
		go h.Serve(s)
	}
	t.Cleanup(func() { h.Close() })
	return s, ln.Addr().(*net.TCPAddr).Port
}

// serveProxiedTCP answers with the header, and then what it gets.
func serveProxiedTCP(t *testing.T) int {
	t.Helper()
	return ServeTCP(t, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		r := bufio.NewReader(c)
		head, err := readHeader(r)
		fmt.Fprintf(c, "%s %v\n", head, err)
		io.Copy(c, r)
	})
}

func told(t *testing.T, config string) Object {
	var c Object
	Read(t, config, &c)
	return Object{"name": "envoy.transport_sockets.upstream_proxy_protocol", "typed_config": Object{
		"@type": Types + "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport", "config": c,
		"transport_socket": Object{"name": "envoy.transport_sockets.raw_buffer", "typed_config": Object{"@type": Types + "transport_sockets.raw_buffer.v3.RawBuffer"}}}}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestSameProxiedUpstream compares what connections to endpoints begin with.
func TestSameProxiedUpstream(t *testing.T) {
	_, port := serveProxied(t, false)
	_, tlsPort := serveProxied(t, true)
	tcpPort := serveProxiedTCP(t)
	a, bb, cc := b64("A"), b64("BB"), b64("CCC")
	socket := map[string]string{
		"v1":        `{}`,
		"v2":        `{version: V2}`,
		"added":     `{version: V2, added_tlvs: [{type: 226, value: ` + a + `}, {type: 225, value: ` + bb + `}]}`,
		"twice":     `{version: V2, added_tlvs: [{type: 226, value: ` + a + `}, {type: 226, value: ` + bb + `}]}`,
		"host":      `{version: V2, added_tlvs: [{type: 226, value: ` + a + `}, {type: 225, value: ` + bb + `}], pass_through_tlvs: {}}`,
		"all":       `{version: V2, pass_through_tlvs: {}, added_tlvs: [{type: 226, value: ` + a + `}]}`,
		"some":      `{version: V2, pass_through_tlvs: {match_type: INCLUDE, tlv_type: [225, 2]}}`,
		"two":       `{version: V2}`,
		"encrypted": `{version: V2}`,
		"tcp":       `{version: V2, pass_through_tlvs: {}}`,
		"long":      `{version: V2, pass_through_tlvs: {}, added_tlvs: [{type: 226, value: ` + b64(strings.Repeat("x", 32000)) + `}]}`,
	}
	names := []string{"v1", "v2", "added", "twice", "host", "all", "some", "two", "encrypted", "long", "tcp"}
	var clusters List
	for _, name := range names {
		to := port
		switch name {
		case "encrypted":
			to = tlsPort
		case "tcp":
			to = tcpPort
		}
		c := Cluster(name, to, name == "two")
		s := told(t, socket[name])
		if name == "encrypted" {
			s["typed_config"].(Object)["transport_socket"] = Object{"name": "tls", "typed_config": Object{"@type": Types + "transport_sockets.tls.v3.UpstreamTlsContext"}}
		}
		if name == "host" {
			var metadata Object
			Read(t, `{typed_filter_metadata: {envoy.transport_sockets.proxy_protocol: {"@type": type.googleapis.com/envoy.config.core.v3.PerHostConfig, added_tlvs: [{type: 225, value: `+cc+`}, {type: 227, value: `+cc+`}, {type: 227, value: `+a+`}]}}}`, &metadata)
			c["load_assignment"].(Object)["endpoints"].(List)[0].(Object)["lb_endpoints"].(List)[0].(Object)["metadata"] = metadata
		}
		c["transport_socket"] = s
		clusters = append(clusters, c)
	}
	type listened struct {
		name, cluster, filter, tcp string
		port                       int
	}
	all := []listened{
		{name: "v1", cluster: "v1"}, {name: "v2", cluster: "v2"}, {name: "added", cluster: "added"}, {name: "twice", cluster: "twice"}, {name: "two", cluster: "two"}, {name: "encrypted", cluster: "encrypted"},
		{name: "told v1", cluster: "v1", filter: `{}`},
		{name: "told v2", cluster: "v2", filter: `{}`},
		{name: "told two", cluster: "two", filter: `{}`},
		{name: "told host", cluster: "host", filter: `{pass_through_tlvs: {}}`},
		{name: "told all", cluster: "all", filter: `{pass_through_tlvs: {}}`},
		{name: "told none", cluster: "all", filter: `{}`},
		{name: "told some", cluster: "some", filter: `{pass_through_tlvs: {match_type: INCLUDE, tlv_type: [226, 225]}}`},
		{name: "tcp", cluster: "tcp", tcp: `{}`},
		{name: "tcp adds", cluster: "tcp", tcp: `{proxy_protocol_tlvs: [{type: 228, value: ` + a + `}, {type: 228, value: ` + bb + `}]}`},
		{name: "tcp adds if absent", cluster: "tcp", filter: `{pass_through_tlvs: {}}`, tcp: `{proxy_protocol_tlvs: [{type: 228, value: ` + a + `}]}`},
		{name: "tcp overwrites", cluster: "tcp", filter: `{pass_through_tlvs: {}}`, tcp: `{proxy_protocol_tlv_merge_policy: OVERWRITE_BY_TYPE_IF_EXISTS_OR_ADD, proxy_protocol_tlvs: [{type: 225, value: ` + a + `}, {type: 228, value: ` + bb + `}, {type: 225, value: ` + cc + `}]}`},
		{name: "tcp appends", cluster: "tcp", filter: `{pass_through_tlvs: {}}`, tcp: `{proxy_protocol_tlv_merge_policy: APPEND_IF_EXISTS_OR_ADD, proxy_protocol_tlvs: [{type: 225, value: ` + a + `}, {type: 228, value: ` + bb + `}]}`},
		{name: "told long", cluster: "long", filter: `{pass_through_tlvs: {}}`},
	}
	ports := harness.FreePorts(t, len(all)+1)
	admin := ports[len(all)]
	var listeners List
	for i := range all {
		x := &all[i]
		x.port = ports[i]
		var l Object
		if x.tcp != "" {
			var m Object
			Read(t, x.tcp, &m)
			m["@type"], m["stat_prefix"], m["cluster"] = Types+"filters.network.tcp_proxy.v3.TcpProxy", "t", x.cluster
			l = Object{"name": x.name, "address": Address(x.port), "filter_chains": List{Object{"filters": List{Object{"name": "tcp", "typed_config": m}}}}}
		} else {
			l = Listener(x.name, x.port, Object{"use_remote_address": true, "route_config": Object{"virtual_hosts": List{Object{"name": "v", "domains": List{"*"},
				"routes": List{Object{"match": Object{"prefix": "/"}, "route": Object{"cluster": x.cluster}}}}}}})
		}
		if x.filter != "" {
			var f Object
			Read(t, x.filter, &f)
			f["@type"] = Types + "filters.listener.proxy_protocol.v3.ProxyProtocol"
			l["listener_filters"] = List{Object{"name": "pp", "typed_config": f}}
		}
		listeners = append(listeners, l)
	}
	second := func(command byte, tlvs string) string {
		return signature + string([]byte{0x20 | command, 0x11, byte((12 + len(tlvs)) >> 8), byte(12 + len(tlvs))}) + "\x07\x07\x07\x07\x08\x08\x08\x08\x00\x05\x01\xbb" + tlvs
	}
	const (
		first = "PROXY TCP4 7.7.7.7 8.8.8.8 5 443\r\n"
		six   = "PROXY TCP6 2001:db8::1 2001:db8::2 5 443\r\n"
		mixed = "PROXY TCP6 ::ffff:7.7.7.7 2001:db8::2 5 443\r\n"
		tlvs  = "\xe1\x00\x01x\xe2\x00\x02yy\xe1\x00\x01z\x02\x00\x03a.b\xe3\x00\x00"
	)
	said := func(at listened, header string) string {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", at.port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, header)
		text := ""
		if r := bufio.NewReader(c); at.tcp != "" {
			io.WriteString(c, "hello\n")
			head, _ := r.ReadString('\n')
			echo, _ := r.ReadString('\n')
			text = head + echo
		} else {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n")
			if rs, err := http.ReadResponse(r, nil); err == nil {
				b, _ := io.ReadAll(rs.Body)
				text = fmt.Sprintf("%d %s", rs.StatusCode, b)
			}
		}
		if text == "" {
			return "closed"
		}
		text = strings.ReplaceAll(text, fmt.Sprintf(" %d ", c.LocalAddr().(*net.TCPAddr).Port), " OWN ")
		return strings.ReplaceAll(text, fmt.Sprint(at.port), "PORT")
	}
	say := func(p Program) (out []string) {
		defer Start(t, ports, Bootstrap(admin, listeners, clusters), p)()
		source := uint16(1000) // connections of clients are not to be shared
		for _, x := range all {
			headers := []string{""}
			if x.filter != "" {
				headers = []string{first, six, mixed, second(1, ""), second(1, tlvs), second(0, ""), second(0, tlvs), "PROXY UNKNOWN\r\n", second(1, "\xe1\x00\x09x"), second(1, "\xe1")}
			}
			if x.name == "told long" {
				headers = []string{second(1, tlvs), first}
			}
			for _, h := range headers {
				source++
				h = strings.Replace(h, " 5 443", fmt.Sprintf(" %d 443", source), 1)
				h = strings.Replace(h, "\x00\x05\x01\xbb", string(binary.BigEndian.AppendUint16(nil, source))+"\x01\xbb", 1)
				out = append(out, fmt.Sprintf("%s: %q: %s", x.name, h, said(x, h)))
			}
		}
		return out
	}
	both := Programs(t)
	e := say(both[0])
	for i, u := range say(both[1]) {
		if e[i] != u {
			t.Errorf("Envoy %.500s\nusher %.500s", e[i], u)
		}
	}
}
