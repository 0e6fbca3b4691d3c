package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/usher-mesh/usher/internal/mesh"
)

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// serveDebug serves metrics and what the control plane knows on a Unix socket that
// only its owner may open. It shows no key: secrets hide themselves, and dumps have
// names and versions only.
func (p *plane) serveDebug(ctx context.Context) error {
	if p.o.DebugSocket == "" {
		<-ctx.Done()
		return nil
	}
	l, err := ownSocket(p.o.DebugSocket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/proxies", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.xds.Proxies()) })
	mux.HandleFunc("GET /debug/jwks", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.mirror.States()) })
	mux.HandleFunc("GET /debug/model", func(w http.ResponseWriter, _ *http.Request) { writeModel(w, p.pipeline.model.Load()) })
	mux.HandleFunc("GET /debug/xds", func(w http.ResponseWriter, rq *http.Request) {
		ns, name := rq.URL.Query().Get("namespace"), rq.URL.Query().Get("name")
		held, ok := p.xds.Held(ns, name)
		if !ok {
			http.Error(w, fmt.Sprintf("no proxy %s/%s is connected", ns, name), http.StatusNotFound)
			return
		}
		writeJSON(w, held)
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return p.serveHTTP(ctx, "debug", l, mux)
}

// ownSocket listens on a socket of mode 0600, in place of one that a dead process
// left.
func ownSocket(path string) (net.Listener, error) {
	if fi, err := os.Lstat(path); err == nil {
		if fi.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("%s: exists and is not a socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// The folder is 0700 already; this is for one that is not.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close() // the first error counts
		return nil, err
	}
	return l, nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// writeModel writes the model without inline key sets, which may hold symmetric
// keys.
func writeModel(w http.ResponseWriter, m *mesh.Model) {
	raw, err := json.Marshal(m)
	var v any
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	hideKeySets(v)
	writeJSON(w, v)
}

func hideKeySets(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			hideKeySets(e)
		}
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok && k == "JWKS" && s != "" {
				v[k] = "[redacted]"
				continue
			}
			hideKeySets(e)
		}
	}
}
