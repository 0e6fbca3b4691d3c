package routing

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/usher-mesh/usher/test/harness"
)

// hosts of each of the two route configurations.
const hosts = 40

// upstream answers with what it got.
func upstream(w http.ResponseWriter, r *http.Request) {
	var lines []string
	for k, v := range r.Header {
		lines = append(lines, fmt.Sprintf("got %s: %q", k, v))
	}
	slices.Sort(lines)
	w.Header()["Date"] = nil
	w.Header().Set("Content-Type", "text/plain")
	for _, v := range []string{"a", "b"} {
		w.Header().Add("X-A", v)
	}
	w.Header().Set("X-Up", "1")
	text := fmt.Sprintf("%s %s %s\n%s\n", r.Method, r.Host, r.RequestURI, strings.Join(lines, "\n"))
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	io.WriteString(w, text)
}

// answers gives what a program answers, one text for each request.
func answers(t *testing.T, all []*request, ports []int, program string, args ...string) []string {
	t.Helper()
	defer harness.Serve(t, ports, program, args...)()
	const clients = 4
	client := &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}
	defer client.CloseIdleConnections()
	out := make([]string, len(all))
	var wg sync.WaitGroup
	for k := range clients {
		wg.Go(func() {
			for i := k; i < len(all); i += clients {
				out[i] = ask(client, all[i].http(ports[all[i].listener]))
			}
		})
	}
	wg.Wait()
	return out
}

// ask gives status, fields in order of their names, and content.
func ask(client *http.Transport, r *http.Request) string {
	a, err := client.RoundTrip(r)
	if err != nil {
		return err.Error()
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for k, v := range a.Header {
		if k != "Date" && k != "X-Envoy-Upstream-Service-Time" {
			lines = append(lines, fmt.Sprintf("%s: %q", k, v))
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("%d\n%s\n%s", a.StatusCode, strings.Join(lines, "\n"), body)
}

func TestSameAsEnvoy(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	n := harness.Count(t, "random requests to random route tables", 5000, 20_000)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(upstream)}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })

	random := table{rand.New(rand.NewPCG(1, 2))}
	ports := harness.FreePorts(t, 2)
	file := write(t, list{
		listener("least", ports[0], random.config("least", hosts, false)),
		listener("most", ports[1], random.config("most", hosts, true)),
	}, list{cluster("up", ln.Addr().(*net.TCPAddr).Port)})
	all := make([]*request, n)
	for i := range all {
		all[i] = random.request(i%2, hosts)
	}
	e := answers(t, all, ports, envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	u := answers(t, all, ports, usher, "-c", file)

	used := make([]int, len(exceptions))
	different, statuses := 0, map[string]int{}
	for i, r := range all {
		statuses[strings.SplitN(e[i], "\n", 2)[0]]++
		if e[i] == u[i] {
			continue
		}
		k := slices.IndexFunc(exceptions, func(x exception) bool { return x.is(r, e[i], u[i]) })
		if k >= 0 {
			used[k]++
			continue
		}
		if different++; different <= 20 {
			t.Errorf("%v:\nEnvoy:\n%s\nusher:\n%s", r, e[i], u[i])
		}
	}
	for k, x := range exceptions {
		if used[k] == 0 {
			t.Errorf("nothing differs by %q", x.why)
		}
		t.Logf("%d differ: %s", used[k], x.why)
	}
	t.Logf("%d requests, %d differ without a reason; Envoy's statuses: %v", n, different, statuses)
}
