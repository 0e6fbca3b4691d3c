package routing

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestSameFamilies compares which connections wildcards take, from where they are seen to
// come, and where /listeners says that they are bound.
func TestSameFamilies(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	at := harness.FreePorts(t, 5) // four for listeners, and one for the administration
	routes := func(name string) object {
		shown := object{"header": object{"key": "x-seen", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% at %DOWNSTREAM_LOCAL_ADDRESS%"}}
		return object{"name": name, "virtual_hosts": list{object{"name": "v", "domains": list{"*"}, "response_headers_to_add": list{shown},
			"routes": list{object{"match": object{"prefix": "/"}, "direct_response": object{"status": 200}}}}}}
	}
	bound := func(name, ip string, port int, compat bool) object {
		l := listener(name, port, routes(name))
		l["address"] = object{"socket_address": object{"address": ip, "port_value": port, "ipv4_compat": compat}}
		return l
	}
	file := writeWithAdmin(t, at[4], list{
		bound("four", "0.0.0.0", at[0], false),
		bound("six", "::", at[1], false),
		bound("both", "::", at[2], true),
		bound("beside-four", "0.0.0.0", at[3], false), // one port, two listeners
		bound("beside-six", "::", at[3], false),
	}, list{})
	say := func(program string, args ...string) (out []string) {
		defer harness.Serve(t, []int{at[0], at[2], at[3], at[4]}, program, args...)()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		harness.Eventually(t, 10*time.Second, "all listeners are bound", func() (bool, any) {
			a, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/listeners", at[4]))
			if err != nil {
				return false, err
			}
			defer a.Body.Close()
			all, err := io.ReadAll(a.Body)
			out = strings.Fields(string(all))
			slices.Sort(out)
			return len(out) == 5, err
		})
		for i, port := range at[:4] {
			for _, ip := range []string{"127.0.0.1", "[::1]"} {
				seen := "refused"
				if a, err := client.Get(fmt.Sprintf("http://%s:%d/", ip, port)); err == nil {
					a.Body.Close()
					seen = a.Header.Get("X-Seen")
				}
				out = append(out, fmt.Sprintf("%d from %s: %s", i, ip, seen))
			}
		}
		return out
	}
	e := say(envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	same(t, e, say(usher, "-c", file))
}
