package routing

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestSameProxyProtocol compares for whom connections are seen to come, and which are closed.
func TestSameProxyProtocol(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	at := harness.FreePorts(t, 3)
	told := func(name string, port int, filter object) object {
		shown := object{"header": object{"key": "x-seen", "value": "%DOWNSTREAM_REMOTE_ADDRESS% at %DOWNSTREAM_LOCAL_ADDRESS%"}}
		l := listener(name, port, object{"name": name, "virtual_hosts": list{object{"name": "v", "domains": list{"*"}, "response_headers_to_add": list{shown},
			"routes": list{object{"match": object{"prefix": "/"}, "direct_response": object{"status": 200}}}}}})
		filter["@type"] = types + "extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
		l["listener_filters"] = list{object{"name": "pp", "typed_config": filter}}
		return l
	}
	file := write(t, list{
		told("required", at[0], object{}),
		told("optional", at[1], object{"allow_requests_without_proxy_protocol": true, "disallowed_versions": list{"V1"}}),
		told("second", at[2], object{"disallowed_versions": list{"V1"}}),
	}, list{})
	second := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x07\x07\x07\x07\x08\x08\x08\x08\x00\x05\x01\xbb"
	cases := []struct {
		port   int
		header string
		differ string // what Envoy answers where usher closes
	}{
		{0, "PROXY TCP4 7.7.7.7 8.8.8.8 5 443\r\n", ""},
		{0, "PROXY TCP6 2001:db8::1 2001:db8::2 5 443\r\n", ""},
		{0, "PROXY TCP4 0.0.0.0 8.8.8.8 5 443\r\n", ""},
		{0, "PROXY TCP4 224.0.0.1 8.8.8.8 5 443\r\n", ""},
		{0, "PROXY TCP4 7.7.7.7 255.255.255.255 5 443\r\n", ""},
		{0, "PROXY TCP6 ff02::1 2001:db8::2 5 443\r\n", ""},
		{0, "PROXY TCP6 :: 2001:db8::2 5 443\r\n", ""},
		{0, second, ""},
		{0, strings.Replace(second, "\x07\x07\x07\x07", "\xe0\x00\x00\x01", 1), ""},
		{1, second, ""},
		{1, "PROXY TCP4 7.7.7.7 8.8.8.8 5 443\r\n", "400"}, // passed on untouched
		{2, second, ""},
		{2, "PROXY TCP4 7.7.7.7 8.8.8.8 5 443\r\n", ""},
	}
	seen := regexp.MustCompile(`(?i)x-seen: (.*)\r`)
	say := func(program string, args ...string) (out []string) {
		defer harness.Serve(t, at, program, args...)()
		for _, x := range cases {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", at[x.port]))
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprintf(c, "%sGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", x.header)
			b, _ := io.ReadAll(c) // it may be reset by what was not read
			c.Close()
			what := "closed"
			if m := seen.FindSubmatch(b); m != nil {
				what = string(m[1])
			} else if f := strings.Fields(string(b)); len(f) > 1 {
				what = f[1]
			}
			if x.differ != "" && program == envoy {
				if what != x.differ {
					t.Errorf("%q: Envoy: %s, not %s", x.header, what, x.differ)
				}
				what = "closed"
			}
			out = append(out, fmt.Sprintf("%d: %q: %s", x.port, x.header, what))
		}
		return out
	}
	e := say(envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	same(t, e, say(usher, "-c", file))
}
