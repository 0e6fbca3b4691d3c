package listener_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/filter/rbac"
)

const trustsOne = `use_remote_address: true
xff_num_trusted_hops: 1
via: edge
` + logsClient

const logsClient = `access_log:
- name: envoy.access_loggers.stdout
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
    log_format: {text_format_source: {inline_string: "%PATH% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%\n"}}
`

// TestTrustedHop: who asks is whom the trusted proxy names, and RBAC and logs go by it. Each
// message says that it went through this proxy, too.
func TestTrustedHop(t *testing.T) {
	p := newProxy(t, nil)
	var log bytes.Buffer
	p.opts.AccessLogs = &accesslog.Files{Stdout: &log}
	p.cluster(staticCluster("up", backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", strings.Join(r.Header.Values("Via"), "|"))
		w.Header().Set("Via", "origin")
	}), ""))
	p.opts.Filters = []filter.Factory{rbac.Factory(nil)}
	p.start(strings.Replace(plainListener(trustsOne), "http_filters:", "http_filters:\n      - {name: rbac, typed_config: {\"@type\": \""+rbac.Factory(nil).TypeURL+
		"\", rules: {action: DENY, policies: {p: {permissions: [{any: true}], principals: [{remote_ip: {address_prefix: 203.0.113.0, prefix_len: 24}}]}}}}}", 1))
	for _, c := range []struct {
		path, xff, via, asked string
		status                int
	}{
		{"/good", "203.0.113.9, 198.51.100.7", "far", "far, edge", 200},
		{"/bad", "198.51.100.7, 203.0.113.9", "", "", 403},
		{"/none", "", "", "edge", 200},
		{"/nonsense", "198.51.100.7, someone", "", "edge", 200},
	} {
		rq, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+p.addr+c.path, nil)
		for k, v := range map[string]string{"X-Forwarded-For": c.xff, "Via": c.via} {
			if v != "" {
				rq.Header.Set(k, v)
			}
		}
		rs, err := client(t).Do(rq)
		if err != nil {
			t.Fatal(err)
		}
		rs.Body.Close()
		if rs.StatusCode != c.status {
			t.Errorf("%s: %d", c.path, rs.StatusCode)
		}
		if got := rs.Header.Get("X-Asked"); c.status == 200 && got != c.asked {
			t.Errorf("%s: asked with Via %q", c.path, got)
		}
		if got := rs.Header.Values("Via"); c.path == "/good" && (len(got) != 1 || got[0] != "origin, edge") {
			t.Errorf("the answer's Via: %q", got)
		}
	}
	p.Close()
	p.opts.AccessLogs.Flush()
	for _, want := range []string{"/good 198.51.100.7:0 127.0.0.1\n", "/bad 203.0.113.9:0 127.0.0.1\n", "/none 127.0.0.1:", "/nonsense 127.0.0.1:"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q, want %q", log.String(), want)
		}
	}
}
