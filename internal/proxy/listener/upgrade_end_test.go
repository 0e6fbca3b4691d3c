package listener_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// stays is a server that never ends a connection by itself, but for what is asked of it
// under /bye. It tells when a client's end has come.
func stays(t *testing.T, upgrade bool) (addr string, ends chan struct{}) {
	ends = make(chan struct{}, 10)
	over := make(chan struct{})
	addr = proxytest.Serve(t, func(_ int, c net.Conn) {
		r := bufio.NewReader(c)
		if upgrade {
			rq, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
			if rq.URL.Path == "/bye" {
				return
			}
		}
		_, _ = io.Copy(c, r)
		ends <- struct{}{}
		<-over
	})
	t.Cleanup(func() { close(over) })
	return addr, ends
}

// TestUpgradeEnds: the end of one side of an upgrade is that of the other, as HTTP has it,
// and the log tells whose was first.
func TestUpgradeEnds(t *testing.T) {
	addr, ends := stays(t, true)
	p := newProxy(t, nil)
	var log bytes.Buffer
	p.opts.AccessLogs = &accesslog.Files{Stdout: &log}
	p.cluster(staticCluster("up", addr, ""))
	p.start(plainListener(takesWebsocket + "\n" + logsFlags))

	half := p.dial(t, nil)
	ask(t, half, "GET /stay HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "101")
	alive(t, half)
	half.(*net.TCPConn).CloseWrite()
	ended(t, half)
	<-ends

	bye := p.dial(t, nil)
	ask(t, bye, "GET /bye HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "101")
	ended(t, bye)

	p.Close()
	p.opts.AccessLogs.Flush()
	for _, want := range []string{"/stay DC downstream_remote_disconnect\n", "/bye UC upstream_reset_after_response_started{connection_termination}\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q, want %q", log.String(), want)
		}
	}
}

const logsFlags = `access_log:
- name: envoy.access_loggers.stdout
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
    log_format: {text_format_source: {inline_string: "%PATH% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"}}
`

// TestDrainHalfClosed: a tunnel whose client has sent its end, and whose server says
// nothing, does not outlast the drain.
func TestDrainHalfClosed(t *testing.T) {
	addr, ends := stays(t, false)
	p := newProxy(t, nil)
	p.opts.ProxyCredential = func() string { return "customer:s3cret" }
	p.cluster(staticCluster("up", addr, ""))
	p.start("name: outbound\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nmetadata: {filter_metadata: {usher: {http_proxy: true}}}\nfilter_chains:\n- filters:" +
		manager(toUp, ""))
	c := p.dial(t, nil)
	ask(t, c, "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\nProxy-Authorization: Basic Y3VzdG9tZXI6czNjcmV0\r\n\r\n", "200")
	alive(t, c)
	c.(*net.TCPConn).CloseWrite()
	<-ends
	closed := make(chan struct{})
	go func() { p.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the connection goes on")
	}
}
