package admin

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strconv"
	"strings"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"

	"github.com/usher-mesh/usher/internal/footprint"
)

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	state := s.o.Server().GetState()
	status := http.StatusOK
	if state != adminv3.ServerInfo_LIVE {
		status = http.StatusServiceUnavailable
	}
	fail(w, status, state.String()+"\n")
}

func (s *server) info(w http.ResponseWriter, _ *http.Request) { s.reply(w, s.o.Server(), true) }

// config answers with Status.
func (s *server) config(w http.ResponseWriter, _ *http.Request) {
	b, err := json.MarshalIndent(s.o.Config(), "", " ")
	s.report(err)
	s.replyJSON(w, append(b, '\n'))
}

func (s *server) certs(w http.ResponseWriter, _ *http.Request) { s.reply(w, s.o.Certs(), true) }

func (s *server) memory(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.reply(w, &adminv3.Memory{
		Allocated: m.HeapAlloc, HeapSize: m.HeapSys, PageheapUnmapped: m.HeapReleased, PageheapFree: m.HeapIdle - m.HeapReleased,
		TotalThreadCache: m.MCacheInuse, TotalPhysicalBytes: footprint.Resident(),
	}, true)
}

func (s *server) drain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.o.Drain(q.Has("graceful"), q.Has("inboundonly"), q.Has("skip_exit"))
	text(w, "OK\n")
}

func (s *server) health(ok bool) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		s.o.Health(ok)
		text(w, "OK\n")
	}
}

func (s *server) quit(w http.ResponseWriter, _ *http.Request) {
	text(w, "OK\n")
	s.o.Quit()
}

func (s *server) reopen(w http.ResponseWriter, _ *http.Request) {
	if err := s.o.Reopen(); err != nil {
		fail(w, http.StatusInternalServerError, err.Error()+"\n")
		return
	}
	text(w, "OK\n")
}

func (s *server) reset(w http.ResponseWriter, _ *http.Request) {
	s.o.Metrics.Reset()
	text(w, "OK\n")
}

func (s *server) initDump(w http.ResponseWriter, r *http.Request) {
	d := s.o.Unready()
	if m := r.URL.Query().Get("mask"); m != "" && m != "listener" {
		d = &adminv3.UnreadyTargetsDumps{} // nothing else has targets
	}
	s.reply(w, d, false)
}

// maxProfile bounds how long a profile may take.
const maxProfile = 5 * time.Minute

// profiles are Go's. They show code, never what it works on.
func (s *server) profiles(w http.ResponseWriter, r *http.Request) {
	if t := r.URL.Query().Get("seconds"); t != "" {
		n, err := strconv.ParseUint(t, 10, 16)
		d := time.Duration(n) * time.Second
		if err != nil || d > maxProfile {
			fail(w, http.StatusBadRequest, "?seconds= must be a number up to 300\n")
			return
		}
		s.report(http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d + writeTimeout)))
	}
	switch strings.TrimPrefix(normal(r), "/debug/pprof/") {
	case "profile":
		pprof.Profile(w, r)
	case "trace":
		pprof.Trace(w, r)
	case "cmdline", "symbol":
		fail(w, http.StatusNotFound, "there is no such profile\n")
	default:
		pprof.Index(w, r)
	}
}
