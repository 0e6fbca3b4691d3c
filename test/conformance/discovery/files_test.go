package discovery

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

type (
	object = beside.Object
	list   = beside.List
)

const patience = 20 * time.Second

// rds is a file of one table of routes that answers with a status.
func rds(name string, status int) string {
	return "resources:\n" + routes(name, status)
}

func routes(name string, status int) string {
	return fmt.Sprintf(`- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: %s
  virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: %d}}]}]
`, name, status)
}

func eds(name string, port int) string {
	return fmt.Sprintf(`resources:
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: %s
  endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]
`, name, port)
}

// world is a program that runs, and the folder that it is configured from.
type world struct {
	t     *testing.T
	dir   string
	ports map[string]int
	mark  int
	ask   func(*world) string // tells how TEST is
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rename(from, to string) {
	w.t.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.t.Fatal(err)
	}
}

// move replaces a file as a whole.
func (w *world) move(name, text string) {
	w.t.Helper()
	w.write(name+".tmp", text)
	w.rename(name+".tmp", name)
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(w.path(name)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) link(to, name string) {
	w.t.Helper()
	if err := os.Symlink(to, w.path(name)); err != nil {
		w.t.Fatal(err)
	}
}

// status gives what is answered on a port.
func (w *world) status(port string) string {
	rs, _, err := (&beside.Ask{}).Send(w.ports[port])
	if err != nil {
		return "no answer"
	}
	return fmt.Sprint(rs.StatusCode, " ", rs.Header.Get("x-from"))
}

// settle waits until a program has seen what happened to files until now. It is told of
// moves in order; of what it is told at once it may read one file before the other, and has
// read all of them when it does so again.
func (w *world) settle() {
	w.t.Helper()
	for range 2 {
		w.mark++
		want := fmt.Sprint(200+w.mark, " ")
		w.move("mark/rds.yaml", rds("mark", 200+w.mark))
		harness.Eventually(w.t, patience, "the mark", func() (bool, any) {
			got := w.status("MARK")
			return got == want, got
		})
	}
}

// marked makes the file that settle moves, in a folder of its own.
func (w *world) marked() (source object) {
	w.t.Helper()
	if err := os.Mkdir(w.path("mark"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.write("mark/rds.yaml", rds("mark", 200))
	return file(w.path("mark/rds.yaml"))
}

// counts gives what is counted of subscriptions, as text and for Prometheus, less what is
// zero.
func (w *world) counts() string {
	w.t.Helper()
	var out []string
	for _, path := range []string{"/stats", "/stats/prometheus"} {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		rs, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d%s", w.ports["ADMIN"], path))
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := io.ReadAll(rs.Body)
		rs.Body.Close()
		if err != nil {
			w.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if m := counted.FindStringSubmatch(strings.TrimSpace(line)); m != nil && m[4] != "0" {
				labels := strings.Split(m[3], ",")
				slices.Sort(labels)
				out = append(out, fmt.Sprintf("\n%s{%s} %s", m[1], strings.Join(labels, ","), m[4]))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

var counted = regexp.MustCompile(`^(.*(update_(?:attempt|success|rejected|failure)|init_fetch_timeout))(?:\{(.*)\}|:|) (\d+)$`)

func file(path string) object { return object{"path_config_source": object{"path": path}} }

func manager(route string, source object) object {
	return object{"rds": object{"route_config_name": route, "config_source": source}}
}

// begin starts a program whose listener PORT has the manager, beside one that settle uses.
func begin(t *testing.T, program beside.Program, w *world, managers map[string]object, clusters list) {
	t.Helper()
	managers["MARK"] = manager("mark", w.marked())
	var listeners list
	ports := []int{}
	for name, m := range managers {
		w.ports[name] = harness.FreePorts(t, 1)[0]
		ports = append(ports, w.ports[name])
		listeners = append(listeners, beside.Listener(strings.ToLower(name), w.ports[name], m))
	}
	w.ports["ADMIN"] = harness.FreePorts(t, 1)[0]
	beside.Start(t, append(ports, w.ports["ADMIN"]), beside.Bootstrap(w.ports["ADMIN"], listeners, clusters), program)
}

func answering(t *testing.T, name string) int {
	return beside.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("x-from", name) }), false)
}

// step does something to files.
type step struct {
	says string
	do   func(w *world)
}

// both runs the steps with both programs, and compares how the listener TEST is after each.
func both(t *testing.T, start func(program beside.Program, w *world), steps []step) {
	t.Helper()
	var told [2][]string
	for i, p := range beside.Programs(t) {
		w := &world{t: t, dir: t.TempDir(), ports: map[string]int{}, ask: func(w *world) string { return w.status("TEST") }}
		start(p, w)
		w.settle()
		told[i] = append(told[i], w.ask(w)+w.counts())
		for _, s := range steps {
			s.do(w)
			w.settle()
			told[i] = append(told[i], w.ask(w)+w.counts())
		}
	}
	for i := range told[0] {
		says := "at the start"
		if i > 0 {
			says = steps[i-1].says
		}
		if told[0][i] != told[1][i] {
			t.Errorf("%s:\nEnvoy %s\nusher %s", says, told[0][i], told[1][i])
		}
		if testing.Verbose() {
			t.Logf("%s: %s", says, told[1][i])
		}
	}
}

func move(name, text string) func(*world) { return func(w *world) { w.move(name, text) } }

// TestRoutesFromFile: a file is read when it is moved into place, and then alone; one that
// is bad changes nothing.
func TestRoutesFromFile(t *testing.T) {
	both(t, func(p beside.Program, w *world) {
		w.write("rds.yaml", rds("r", 210))
		begin(t, p, w, map[string]object{"TEST": manager("r", file(w.path("rds.yaml")))}, nil)
	}, []step{
		{"written in place", func(w *world) { w.write("rds.yaml", rds("r", 211)) }},
		{"moved", move("rds.yaml", rds("r", 212))},
		{"removed", func(w *world) { w.remove("rds.yaml") }},
		{"created", func(w *world) { w.write("rds.yaml", rds("r", 213)) }},
		{"no YAML", move("rds.yaml", "resources: {")},
		{"an empty file", move("rds.yaml", "")},
		{"of another name", move("rds.yaml", rds("s", 214))},
		{"two", move("rds.yaml", rds("r", 215)+routes("s", 216))},
		{"none", move("rds.yaml", "resources: []")},
		{"of another type", move("rds.yaml", eds("r", 1))},
		{"bad within", move("rds.yaml", rds("r", 600))},
		{"good again", move("rds.yaml", "version_info: v1\nnonce: n1\ntype_url: t\ncontrol_plane: {identifier: i}\n"+rds("r", 217))},
		{"a link moved", func(w *world) { w.write("to", rds("r", 218)); w.link("to", "link"); w.rename("link", "rds.yaml") }},
		{"what it leads to moved", move("to", rds("r", 219))},
		{"within a resource", move("rds.yaml", `{"resources": [{"@type": "type.googleapis.com/envoy.service.discovery.v3.Resource", "name": "r", "version": "w", "resource":
			{"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 220}}]}]}}]}`)},
	})
}

// TestWatchedDirectory: with it any move into the folder has the file read, as where
// Kubernetes mounts a ConfigMap; and a move to the file elsewhere has not.
func TestWatchedDirectory(t *testing.T) {
	both(t, func(p beside.Program, w *world) {
		for _, d := range []string{"1", "2", "mount"} {
			if err := os.Mkdir(w.path(d), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		w.write("1/rds.yaml", rds("r", 210))
		w.write("2/rds.yaml", rds("r", 211))
		w.link("../1", "mount/..data")
		w.link("..data/rds.yaml", "mount/rds.yaml")
		source := object{"path_config_source": object{"path": w.path("mount/rds.yaml"), "watched_directory": object{"path": w.path("mount")}}}
		begin(t, p, w, map[string]object{"TEST": manager("r", source)}, nil)
	}, []step{
		{"what the link leads to is moved", move("1/rds.yaml", rds("r", 212))},
		{"something else is moved into the folder", move("mount/any", "")},
		{"another folder is linked", func(w *world) { w.link("../2", "mount/..tmp"); w.rename("mount/..tmp", "mount/..data") }},
		{"removed", func(w *world) { w.remove("2/rds.yaml"); w.move("mount/any", "") }},
	})
}

// TestBadAtStart: a listener whose routes cannot be read answers as one that has none.
func TestBadAtStart(t *testing.T) {
	both(t, func(p beside.Program, w *world) {
		w.write("rds.yaml", "resources: {")
		begin(t, p, w, map[string]object{"TEST": manager("r", file(w.path("rds.yaml")))}, nil)
	}, []step{
		{"mended", move("rds.yaml", rds("r", 210))},
	})
}

// TestEndpointsFromFile: as routes; no endpoints are none.
func TestEndpointsFromFile(t *testing.T) {
	one, two := answering(t, "one"), answering(t, "two")
	both(t, func(p beside.Program, w *world) {
		w.write("eds.yaml", eds("svc", one))
		up := object{"name": "up", "type": "EDS", "eds_cluster_config": object{"service_name": "svc", "eds_config": file(w.path("eds.yaml"))}}
		begin(t, p, w, map[string]object{"TEST": {"route_config": object{"virtual_hosts": list{object{"name": "all", "domains": list{"*"},
			"routes": list{object{"match": object{"prefix": "/"}, "route": object{"cluster": "up"}}}}}}}}, list{up})
	}, []step{
		{"written in place", func(w *world) { w.write("eds.yaml", eds("svc", two)) }},
		{"moved", move("eds.yaml", eds("svc", two))},
		{"of another name", move("eds.yaml", eds("up", one))},
		{"none", move("eds.yaml", "resources: []")},
		{"two", move("eds.yaml", eds("svc", one)+strings.TrimPrefix(eds("up", one), "resources:\n"))},
		{"a bad port", move("eds.yaml", eds("svc", 70000))},
		{"no endpoints", move("eds.yaml", `{"resources": [{"@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name": "svc"}]}`)},
		{"again", move("eds.yaml", eds("svc", one))},
	})
}

// TestListsFromFiles: clusters and listeners from files, with routes and endpoints from
// theirs; what is not in the list any more goes.
func TestListsFromFiles(t *testing.T) {
	one := answering(t, "one")
	cds := func(w *world, names ...string) string {
		out := "resources: []\n"
		if len(names) > 0 {
			out = "version_info: " + strings.Join(names, "-") + "\nresources:\n"
		}
		for _, n := range names {
			out += fmt.Sprintf("- {\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: %s, type: EDS, eds_cluster_config: {eds_config: {path_config_source: {path: %q}}}}\n", n, w.path("eds.yaml"))
		}
		return out
	}
	lds := func(w *world, more, action string) string {
		filter := `{name: hcm, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, ` +
			`http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}], `
		out := fmt.Sprintf("resources:\n- {\"@type\": type.googleapis.com/envoy.config.listener.v3.Listener, name: mark, address: {socket_address: {address: 127.0.0.1, port_value: %d}}, filter_chains: [{filters: [%s"+
			"rds: {route_config_name: mark, config_source: {path: %q}}}}]}]}\n", w.ports["MARK"], filter, w.path("mark/rds.yaml"))
		if action != "" {
			out += fmt.Sprintf("- {\"@type\": type.googleapis.com/envoy.config.listener.v3.Listener, name: test, %saddress: {socket_address: {address: 127.0.0.1, port_value: %d}}, filter_chains: [{filters: [%s"+
				"route_config: {virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {prefix: /}, %s}]}]}}}]}]}\n", more, w.ports["TEST"], filter, action)
		}
		return out
	}
	both(t, func(p beside.Program, w *world) {
		for _, name := range []string{"TEST", "MARK", "ADMIN"} {
			w.ports[name] = harness.FreePorts(t, 1)[0]
		}
		w.marked()
		w.write("eds.yaml", eds("up", one))
		w.write("cds.yaml", cds(w, "up"))
		w.write("lds.yaml", lds(w, "", "route: {cluster: up}"))
		beside.Start(t, []int{w.ports["TEST"], w.ports["MARK"], w.ports["ADMIN"]}, object{"node": object{"id": "x", "cluster": "x"},
			"admin":             object{"address": beside.Address(w.ports["ADMIN"])},
			"dynamic_resources": object{"cds_config": file(w.path("cds.yaml")), "lds_config": object{"path": w.path("lds.yaml")}}}, p)
	}, []step{
		{"one more cluster", func(w *world) { w.move("cds.yaml", cds(w, "up", "other")) }},
		{"no YAML", move("cds.yaml", "resources: {")},
		{"a cluster twice", func(w *world) { w.move("cds.yaml", cds(w, "up", "other", "up")) }},
		{"another action", func(w *world) { w.move("lds.yaml", lds(w, "", "direct_response: {status: 290}")) }},
		{"a bad listener", func(w *world) { w.move("lds.yaml", lds(w, "", "direct_response: {status: 600}")) }},
		{"a file that is not there", func(w *world) {
			w.move("lds.yaml", strings.ReplaceAll(lds(w, "", "route: {cluster: up}"), "route_config: {", "rds: {config_source: {path: /nowhere/x}, route_config_name: "))
		}},
		{"no listener", func(w *world) { w.move("lds.yaml", lds(w, "", "")) }},
		{"a listener", func(w *world) { w.move("lds.yaml", lds(w, "", "direct_response: {status: 291}")) }},
	})
}

// TestRefusedAtStart: what is not there refuses a bootstrap, by its path.
func TestRefusedAtStart(t *testing.T) {
	for says, source := range map[string]object{
		"dynamic_resources.lds_config.path":                                      {"path": "/nowhere/x"},
		"dynamic_resources.lds_config.path_config_source.path":                   file("/nowhere/x"),
		"dynamic_resources.lds_config.path_config_source.watched_directory.path": {"path_config_source": object{"path": "/etc/hosts", "watched_directory": object{"path": "/nowhere"}}},
		"dynamic_resources.lds_config.path: ":                                    {"path": "x"},
	} {
		for _, p := range beside.Programs(t) {
			b := object{"node": object{"id": "x", "cluster": "x"}, "dynamic_resources": object{"lds_config": source}}
			out := beside.Refused(t, b, p)
			if !p.Envoy && !strings.Contains(out, says) {
				t.Errorf("%s: %s", says, out)
			}
		}
	}
}
