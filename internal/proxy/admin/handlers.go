package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/usher-mesh/usher/internal/footprint"
	"github.com/usher-mesh/usher/internal/proxy/config"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// Public is what anybody may ask over TCP.
func Public(o Options) http.Handler {
	m := http.NewServeMux()
	public(m, o)
	return m
}

func public(m *http.ServeMux, o Options) {
	m.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if o.Draining() {
			http.Error(w, "DRAINING", http.StatusServiceUnavailable)
			return
		}
		if !o.Ready() {
			http.Error(w, "PRE_INITIALIZING", http.StatusServiceUnavailable)
			return
		}
		text(w, "LIVE\n")
	})
	m.HandleFunc("GET /stats/prometheus", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		report(o, o.Metrics.WritePrometheus(w))
	})
}

// Private is what the proxy's owner may ask.
func Private(o Options) http.Handler {
	m := http.NewServeMux()
	public(m, o)
	m.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		report(o, o.Metrics.WritePlain(w))
	})
	m.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) { reply(w, o, o.Config()) })
	m.HandleFunc("GET /config_dump", func(w http.ResponseWriter, r *http.Request) { dump(w, r, o) })
	m.HandleFunc("GET /clusters", func(w http.ResponseWriter, _ *http.Request) { reply(w, o, o.Hosts()) })
	m.HandleFunc("GET /listeners", func(w http.ResponseWriter, _ *http.Request) { listeners(w, o) })
	m.HandleFunc("GET /certs", func(w http.ResponseWriter, _ *http.Request) { certs(w, o) })
	m.HandleFunc("GET /memory", func(w http.ResponseWriter, _ *http.Request) { memory(w, o) })
	m.HandleFunc("GET /logging", func(w http.ResponseWriter, _ *http.Request) { text(w, o.Level.Level().String()+"\n") })
	m.HandleFunc("POST /logging", func(w http.ResponseWriter, r *http.Request) { logging(w, r, o) })
	m.HandleFunc("POST /drain_listeners", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		o.Drain(q.Has("graceful"), q.Has("inboundonly"))
		text(w, "OK\n")
	})
	m.HandleFunc("POST /quitquitquit", func(w http.ResponseWriter, _ *http.Request) {
		text(w, "OK\n")
		o.Quit()
	})
	m.HandleFunc("GET /debug/pprof/", pprof.Index)
	m.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	m.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return m
}

// sections are the parts of /config_dump, one a resource type.
var sections = []struct{ name, typeURL string }{
	{"clusters", xds.ClusterType},
	{"endpoints", xds.EndpointType},
	{"listeners", xds.ListenerType},
	{"routes", xds.RouteType},
	{"secrets", xds.SecretType},
}

// dump answers {"bootstrap": ..., "clusters": [config.Shown], ...}; ?resource=NAME
// gives one section alone.
func dump(w http.ResponseWriter, r *http.Request, o Options) {
	only := r.URL.Query().Get("resource")
	all := map[string]any{}
	for _, s := range sections {
		if only == "" || only == s.name {
			all[s.name] = o.Dump(s.typeURL)
		}
	}
	if only == "" || only == "bootstrap" {
		b, err := o.Boot()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		all["bootstrap"] = json.RawMessage(b)
	}
	if len(all) == 0 {
		http.Error(w, fmt.Sprintf("no resource %q", only), http.StatusNotFound)
		return
	}
	reply(w, o, all)
}

func listeners(w http.ResponseWriter, o Options) {
	type line struct {
		Name    string          `json:"name"`
		Address json.RawMessage `json:"address,omitempty"`
		Denied  bool            `json:"denied,omitempty"`
		Waiting bool            `json:"waiting,omitempty"`
		Error   string          `json:"error,omitempty"`
	}
	out := []line{}
	for _, s := range o.Dump(xds.ListenerType) {
		out = append(out, line{s.Name, address(s), s.Denied, s.Waiting, s.Error})
	}
	reply(w, o, out)
}

func address(s config.Shown) json.RawMessage {
	var l struct {
		Address struct {
			SocketAddress json.RawMessage `json:"socket_address"`
		} `json:"address"`
	}
	if json.Unmarshal(s.Config, &l) != nil {
		return nil
	}
	return l.Address.SocketAddress
}

func certs(w http.ResponseWriter, o Options) {
	type cert struct {
		URIs      []string  `json:"uris,omitempty"`
		Serial    string    `json:"serial"`
		NotBefore time.Time `json:"notBefore"`
		NotAfter  time.Time `json:"notAfter"`
		Issuer    string    `json:"issuer"`
	}
	chain, err := o.Certs()
	out := struct {
		Chain []cert `json:"chain"`
		Error string `json:"error,omitempty"`
	}{Chain: []cert{}}
	if err != nil {
		out.Error = err.Error()
	}
	for _, c := range chain {
		x := cert{Serial: c.SerialNumber.Text(16), NotBefore: c.NotBefore, NotAfter: c.NotAfter, Issuer: c.Issuer.String()}
		for _, u := range c.URIs {
			x.URIs = append(x.URIs, u.String())
		}
		out.Chain = append(out.Chain, x)
	}
	reply(w, o, out)
}

func memory(w http.ResponseWriter, o Options) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	reply(w, o, map[string]uint64{
		"allocated": m.HeapAlloc, "heap_size": m.HeapSys - m.HeapReleased, "stacks": m.StackInuse,
		"resident": footprint.Resident(), "goroutines": uint64(runtime.NumGoroutine()),
	})
}

func logging(w http.ResponseWriter, r *http.Request, o Options) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(r.URL.Query().Get("level"))); err != nil {
		http.Error(w, "?level= must be debug, info, warn or error", http.StatusBadRequest)
		return
	}
	o.Level.Set(l)
	text(w, l.String()+"\n")
}

func reply(w http.ResponseWriter, o Options, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	report(o, e.Encode(v))
}

func text(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, s) // the client is gone
}

// report logs an answer that could not be written; mostly its client is gone.
func report(o Options, err error) {
	if err != nil {
		o.Log.Debug("admin answer not written", "error", err)
	}
}
