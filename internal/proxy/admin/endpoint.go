package admin

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"path"
	"strings"
)

// endpoint is one path with what it does.
type endpoint struct {
	path, help string
	post       bool // it changes something
	params     []param
	serve      func(w http.ResponseWriter, r *http.Request)
}

// param is a parameter of the query, for the help.
type param struct{ name, help string }

// server answers by a table of endpoints, in the order of their paths.
type server struct {
	o         Options
	endpoints []endpoint
}

// Handler serves everything. Who may ask is up to the listener.
func Handler(o Options) http.Handler {
	s := &server{o: o}
	s.endpoints = s.table()
	return s
}

var (
	filterParam = param{"filter", "Regular expression (Google re2) for filtering stats"}
	formatParam = param{"format", "File format to use; One of (text, json)"}
)

func (s *server) table() []endpoint {
	return []endpoint{
		{path: "/", help: "Admin home page", serve: s.home},
		{path: "/certs", help: "print certs on machine", serve: s.certs},
		{path: "/clusters", help: "upstream cluster status", serve: s.clusters, params: []param{
			{"filter", "Regular expression (Google re2) for filtering clusters by name"}, formatParam}},
		{path: "/config", help: "print digest and state of the configuration", serve: s.config},
		{path: "/config_dump", help: "dump current configs", serve: s.configDump, params: []param{
			{"resource", "The resource to dump"},
			{"mask", "The mask to apply. When both resource and mask are specified, the mask is applied to every element in the desired repeated field so that only a subset of fields are returned. The mask is parsed as a Protobuf::FieldMask"},
			{"name_regex", "Dump only the currently loaded configurations whose names match the specified regex. Can be used with both resource and mask query parameters."},
			{"include_eds", "Dump currently loaded configuration including EDS. See the response definition for more information"}}},
		{path: "/debug/pprof/", help: "Go's profiles: goroutine, heap, allocs, profile?seconds=N, trace?seconds=N and others", serve: s.profiles},
		{path: "/drain_listeners", post: true, help: "drain listeners", serve: s.drain, params: []param{
			{"graceful", "When draining listeners, enter a graceful drain period prior to closing listeners"},
			{"skip_exit", "When draining listeners, drain the connections but never stop the listeners. The graceful parameter has no effect when this is set, since the drain period only delays stopping the listeners"},
			{"inboundonly", "Drains all inbound listeners: those whose traffic_direction is INBOUND"}}},
		{path: "/healthcheck/fail", post: true, help: "cause the server to fail health checks", serve: s.health(false)},
		{path: "/healthcheck/ok", post: true, help: "cause the server to pass health checks", serve: s.health(true)},
		{path: "/help", help: "print out list of admin commands", serve: s.help},
		{path: "/hot_restart_version", help: "print the hot restart compatibility version", serve: func(w http.ResponseWriter, _ *http.Request) { text(w, "disabled") }},
		{path: "/init_dump", help: "dump what listeners that are not ready wait for", serve: s.initDump, params: []param{
			{"mask", "The desired component to dump unready targets. The mask is parsed as a Protobuf::FieldMask. For example, get the unready targets of all listeners with /init_dump?mask=listener`"}}},
		{path: "/listeners", help: "print listener info", serve: s.listeners, params: []param{formatParam}},
		{path: "/logging", post: true, help: "query/change logging levels", serve: s.logging, params: []param{
			{"paths", "Change multiple logging levels by setting to <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>."},
			{"level", "desired logging level, this will change all loggers's level; One of (, " + strings.Join(levelNames(), ", ") + ")"}}},
		{path: "/memory", help: "print current allocation/heap usage", serve: s.memory},
		{path: "/quitquitquit", post: true, help: "exit the server", serve: s.quit},
		{path: "/ready", help: "print server state, return 200 if LIVE, otherwise return 503", serve: s.ready},
		{path: "/reopen_logs", post: true, help: "reopen access logs", serve: s.reopen},
		{path: "/reset_counters", post: true, help: "reset all counters to zero", serve: s.reset},
		{path: "/server_info", help: "print server version/status information", serve: s.info},
		{path: "/stats", help: "print server stats", serve: s.stats, params: []param{
			{"usedonly", "Only include stats that have been written by system since restart"}, filterParam,
			{"invert_filter", "Invert the filter regex"},
			{"format", "Format to use; One of (text, json, prometheus)"},
			{"type", "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)"},
			{"histogram_buckets", "Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)"}}},
		{path: "/stats/prometheus", help: "print server stats in prometheus format", serve: s.prometheus, params: []param{
			{"usedonly", "Only include stats that have been written by system since restart"},
			{"text_readouts", "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)"}, filterParam,
			{"invert_filter", "Invert the filter regex"},
			{"histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"}}},
	}
}

// ServeHTTP finds the endpoint. Paths are normalized as Envoy does.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := normal(r)
	if e := s.find(p); e == nil {
		fail(w, http.StatusNotFound, "invalid path. "+s.helpText())
	} else if e.post && r.Method != http.MethodPost {
		fail(w, http.StatusMethodNotAllowed, fmt.Sprintf("Method %s not allowed, POST required.", r.Method))
	} else {
		e.serve(w, r)
	}
}

// find gives the endpoint of a path, nil if there is none. One that ends with a slash has
// everything below it.
func (s *server) find(p string) *endpoint {
	for i := range s.endpoints {
		e := &s.endpoints[i]
		if p == e.path || e.path != "/" && strings.HasSuffix(e.path, "/") && strings.HasPrefix(p, e.path) {
			return e
		}
	}
	return nil
}

// normal is the path of a request without empty and relative segments.
func normal(r *http.Request) string {
	p := path.Clean("/" + r.URL.EscapedPath())
	if p != "/" && strings.HasSuffix(r.URL.EscapedPath(), "/") {
		p += "/"
	}
	return p
}

func (s *server) helpText() string {
	var b strings.Builder
	b.WriteString("admin commands are:\n")
	for _, e := range s.endpoints {
		post := ""
		if e.post {
			post = " (POST)"
		}
		fmt.Fprintf(&b, "  %s%s: %s\n", e.path, post, e.help)
		for _, p := range e.params {
			fmt.Fprintf(&b, "      %s: %s\n", p.name, p.help)
		}
	}
	return b.String()
}

func (s *server) help(w http.ResponseWriter, _ *http.Request) { text(w, s.helpText()) }

// home is a page of links. What changes something is named and can be no link.
func (s *server) home(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang='en'>\n<head><title>Envoy Admin</title></head>\n<body>\n<table>\n<thead><th>Command</th><th>Description</th></thead>\n<tbody>\n")
	for _, e := range s.endpoints {
		name := html.EscapeString(strings.TrimPrefix(e.path, "/"))
		if e.post {
			name += " (POST)"
		} else {
			name = fmt.Sprintf("<a href='%s'>%s</a>", html.EscapeString(strings.TrimPrefix(e.path, "/")), name)
		}
		fmt.Fprintf(&b, "<tr><td>%s</td><td>%s</td></tr>\n", name, html.EscapeString(e.help))
	}
	b.WriteString("</tbody>\n</table>\n</body>\n</html>\n")
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=UTF-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	_, _ = io.WriteString(w, b.String()) // the client is gone
}

const plainText = "text/plain; charset=UTF-8"

func text(w http.ResponseWriter, s string) { fail(w, http.StatusOK, s) }

// fail answers with a status and a text.
func fail(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", plainText)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, s) // the client is gone
}
