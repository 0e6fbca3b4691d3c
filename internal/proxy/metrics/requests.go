package metrics

import (
	"cmp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// maxSeries bounds how many kinds of requests are told apart; what is more is
// counted together, with every label "overflow".
const maxSeries = 5000

// unknown is Istio's value of a label that is not known.
const unknown = "unknown"

// Self is the workload that the proxy belongs to.
type Self struct {
	Workload, Namespace, Service, Version string
	Principal                             string // SPIFFE ID
	Cluster                               string // where it runs, by Istio's name of it
}

// key tells kinds of requests apart.
type key struct {
	inbound        bool
	tls            bool
	code           int
	grpc           bool
	status         uint8 // of gRPC
	tcp            bool  // a connection that carries no HTTP: its requests are connections
	cluster, flags string
	peer           string // SPIFFE ID of the downstream
	overflow       bool
}

// series are the metrics of one kind of request.
type series struct {
	count    atomic.Uint64
	duration *histogram
	received *histogram
	sent     *histogram

	// Messages of gRPC, where a filter counts them.
	requests, responses atomic.Uint64

	// Of connections, which have no histograms.
	closed, fromClient, toClient atomic.Uint64
}

// Requests counts requests.
type Requests struct {
	self Self
	mu   sync.RWMutex
	all  map[key]*series
}

func newRequests(self Self) *Requests { return &Requests{self: self, all: map[key]*series{}} }

// Observe counts a request that has ended.
func (r *Requests) Observe(x *exchange.Exchange) {
	k := key{
		inbound: strings.HasPrefix(x.Listener, "inbound"), code: x.Response.Status,
		cluster: x.Cluster, flags: x.ResponseFlags(),
		grpc: strings.HasPrefix(x.Request.Header.Get("content-type"), "application/grpc"),
	}
	if x.Conn != nil {
		k.tls, k.peer = x.Conn.MTLS(), x.Conn.PeerURI
	}
	if k.grpc {
		k.status = statusOfGRPC(x)
	}
	s := r.series(k)
	s.count.Add(1)
	s.duration.observe(float64(x.Ended.Sub(x.Start)) / float64(time.Millisecond))
	s.received.observe(float64(x.BytesReceived))
	s.sent.observe(float64(x.BytesSent))
	if m := x.Messages; m != nil && k.grpc {
		s.requests.Add(m.Request)
		s.responses.Add(m.Response)
	}
}

// unknownStatus is gRPC's UNKNOWN.
const unknownStatus = 2

// statusOfGRPC gives the code that the answer has; UNKNOWN if it has none that exists.
func statusOfGRPC(x *exchange.Exchange) uint8 {
	v, ok := x.Response.Trailer.Lookup("grpc-status")
	if !ok {
		v, ok = x.Response.Header.Lookup("grpc-status")
	}
	n, err := strconv.ParseUint(v, 10, 8)
	if !ok || err != nil || n > 16 {
		return unknownStatus
	}
	return uint8(n)
}

// ObserveTCP counts a connection that carries no HTTP: when it has been opened, and when
// it has ended.
func (r *Requests) ObserveTCP(x *exchange.Exchange, ended bool) {
	k := key{inbound: strings.HasPrefix(x.Listener, "inbound"), tcp: true, cluster: x.Cluster, flags: x.ResponseFlags()}
	if x.Conn != nil {
		k.tls, k.peer = x.Conn.MTLS(), x.Conn.PeerURI
	}
	s := r.series(k)
	if !ended {
		s.count.Add(1)
		return
	}
	s.closed.Add(1)
	s.fromClient.Add(uint64(max(0, x.BytesReceived)))
	s.toClient.Add(uint64(max(0, x.BytesSent)))
}

func (r *Requests) series(k key) *series {
	r.mu.RLock()
	s := r.all[k]
	r.mu.RUnlock()
	if s != nil {
		return s
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.all[k]; s != nil {
		return s
	}
	if len(r.all) >= maxSeries {
		k = key{overflow: true, tcp: k.tcp}
		if s := r.all[k]; s != nil {
			return s
		}
	}
	k.cluster, k.flags, k.peer = strings.Clone(k.cluster), strings.Clone(k.flags), strings.Clone(k.peer)
	s = &series{}
	if !k.tcp {
		s.duration, s.received, s.sent = newHistogram(milliseconds), newHistogram(byteSizes), newHistogram(byteSizes)
	}
	r.all[k] = s
	return s
}

func (r *Requests) collect(all []stat) []stat {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for k, s := range r.all {
		labels := r.labels(k)
		count := func(name, help string, n *atomic.Uint64) {
			all = append(all, stat{text: labelled(name, labels), name: name, labels: labels, kind: Counter, help: help, value: float64(n.Load())})
		}
		if k.tcp {
			count("istio_tcp_connections_opened_total", "Connections that carry no HTTP.", &s.count)
			count("istio_tcp_connections_closed_total", "Those that have ended.", &s.closed)
			count("istio_tcp_received_bytes_total", "Bytes that their clients have sent.", &s.fromClient)
			count("istio_tcp_sent_bytes_total", "Bytes that were sent to their clients.", &s.toClient)
			continue
		}
		count("istio_requests_total", "Requests.", &s.count)
		if k.grpc || k.overflow {
			count("istio_request_messages_total", "Messages of gRPC that clients have sent.", &s.requests)
			count("istio_response_messages_total", "Messages of gRPC that were sent to clients.", &s.responses)
		}
		for _, h := range []struct {
			name, help string
			of         *histogram
		}{
			{"istio_request_duration_milliseconds", "Time from the request's head to the response's end.", s.duration},
			{"istio_request_bytes", "Bytes of the requests' content.", s.received},
			{"istio_response_bytes", "Bytes of the responses' content.", s.sent},
		} {
			all = append(all, stat{text: labelled(h.name, labels), name: h.name, labels: labels, kind: Histogram, help: h.help, buckets: h.of.now()})
		}
	}
	return all
}

// labels are Istio's standard labels, as far as they are known here.
func (r *Requests) labels(k key) []label {
	if k.overflow {
		return []label{{"reporter", "overflow"}}
	}
	host, subset := destination(k.cluster)
	l := map[string]string{}
	own := func(side, principal string) {
		l[side+"_workload"], l[side+"_workload_namespace"] = r.self.Workload, r.self.Namespace
		l[side+"_app"], l[side+"_canonical_service"] = r.self.Service, r.self.Service
		l[side+"_version"], l[side+"_canonical_revision"] = r.self.Version, r.self.Version
		l[side+"_principal"], l[side+"_cluster"] = principal, r.self.Cluster
	}
	if k.inbound {
		l["reporter"] = "destination"
		own("destination", r.self.Principal)
		l["source_principal"] = k.peer
		l["source_workload_namespace"] = namespaceOf(k.peer)
		l["destination_service_name"], l["destination_service_namespace"] = r.self.Service, r.self.Namespace
		l["destination_service"] = r.self.Service + "." + r.self.Namespace + ".svc.cluster.local"
		l["connection_security_policy"] = "none"
		if k.tls {
			l["connection_security_policy"] = "mutual_tls"
		}
	} else {
		l["reporter"] = "source"
		own("source", r.self.Principal)
		l["destination_service"], l["destination_version"] = host, subset
		if name, ns, ok := strings.Cut(host, "."); ok {
			l["destination_service_name"] = name
			l["destination_service_namespace"], _, _ = strings.Cut(ns, ".")
		}
	}
	l["response_code"] = strconv.Itoa(k.code)
	l["response_flags"] = cmp.Or(k.flags, "-")
	l["request_protocol"] = "http"
	names := labelNames
	switch {
	case k.tcp:
		l["request_protocol"], names = "tcp", labelNames[:len(labelNames)-ofRequests]
	case k.grpc:
		l["request_protocol"], l["grpc_response_status"] = "grpc", strconv.Itoa(int(k.status))
	}
	out := make([]label, len(names))
	for i, n := range names {
		out[i] = label{n, cmp.Or(l[n], unknown)}
		if n == "grpc_response_status" {
			out[i].value = l[n] // empty, as Istio's is, where there is none
		}
	}
	return out
}

var labelNames = []string{
	"reporter",
	"source_workload", "source_workload_namespace", "source_principal", "source_app", "source_version",
	"source_canonical_service", "source_canonical_revision", "source_cluster",
	"destination_workload", "destination_workload_namespace", "destination_principal", "destination_app", "destination_version",
	"destination_service", "destination_service_name", "destination_service_namespace",
	"destination_canonical_service", "destination_canonical_revision", "destination_cluster",
	"request_protocol", "response_flags", "connection_security_policy", "response_code", "grpc_response_status",
}

// ofRequests is how many of the last labels connections do not have.
const ofRequests = 2

// destination reads host and subset from a cluster's name,
// "outbound|8080|v1|preference.tutorial.svc.cluster.local".
func destination(cluster string) (host, subset string) {
	p := strings.Split(cluster, "|")
	if len(p) != 4 {
		return cluster, ""
	}
	return p[3], p[2]
}

// namespaceOf reads the namespace from spiffe://TRUST/ns/NS/sa/SA.
func namespaceOf(id string) string {
	if _, rest, ok := strings.Cut(id, "/ns/"); ok {
		ns, _, _ := strings.Cut(rest, "/")
		return ns
	}
	return ""
}
