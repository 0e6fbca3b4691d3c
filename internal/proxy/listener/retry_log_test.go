package listener_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
)

// TestLogOfLastTry: what is logged of the way to the upstream is that of the last try, and
// nothing of a connection that one before it had, maybe to another endpoint.
func TestLogOfLastTry(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := ln.Accept()
		ln.Close()
		if err == nil {
			http.ReadRequest(bufio.NewReader(c))
			io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
			c.Close()
		}
	}()
	p := newProxy(t, nil)
	var log bytes.Buffer
	p.opts.AccessLogs = &accesslog.Files{Stdout: &log}
	p.cluster(staticCluster("up", ln.Addr().String(), ""))
	p.start(strings.Replace(plainListener(`access_log:
- name: envoy.access_loggers.stdout
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
    log_format: {text_format_source: {inline_string: "%UPSTREAM_REQUEST_ATTEMPT_COUNT% %RESPONSE_FLAGS% %UPSTREAM_HOST% %UPSTREAM_CONNECTION_ID% %UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_PROTOCOL% %COMMON_DURATION(US_CX_BEG:US_CX_END)% %RESPONSE_DURATION% %REQUEST_TX_DURATION%\n"}}`),
		"cluster: up", `cluster: up, retry_policy: {retry_on: "5xx", num_retries: 1}`, 1))
	rs, err := client(t).Get("http://" + p.addr)
	if err != nil {
		t.Fatal(err)
	}
	rs.Body.Close()
	p.Close()
	p.opts.AccessLogs.Flush()
	if want := "2 URX,UF " + ln.Addr().String() + " 0 - - - - - -\n"; log.String() != want {
		t.Errorf("%q, want %q", log.String(), want)
	}
}
