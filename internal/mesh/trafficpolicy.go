package mesh

import "time"

// Traffic is how clients share and limit what they send to endpoints.
type Traffic struct {
	TrafficPolicy
	// Ports are policies of single ports of the service, in place of the one above.
	Ports map[uint16]TrafficPolicy
}

// For gives the policy of a port of the service.
func (t *Traffic) For(port uint16) TrafficPolicy {
	if p, ok := t.Ports[port]; ok {
		return p
	}
	return t.TrafficPolicy
}

// TrafficPolicy is what a DestinationRule says of one group of endpoints; a part
// that is nil has the mesh's defaults.
type TrafficPolicy struct {
	Balancer *LoadBalancer
	Pool     *ConnectionPool
	Outliers *OutlierDetection
}

// LoadBalancer chooses the endpoint of a request.
type LoadBalancer struct {
	Algorithm Algorithm
	// Size is the least number of a ring's entries, or that of Maglev's table: a
	// prime. 0: Envoy's default.
	Size uint64
	// Hash is what of a request chooses, for RingHash and Maglev; nil: chance.
	Hash *HashKey
}

// Algorithm is how a LoadBalancer chooses.
type Algorithm uint8

// The algorithms.
const (
	LeastRequest Algorithm = iota
	RoundRobin
	Random
	RingHash
	Maglev
)

// HashKey is a part of requests. One of its fields is set.
type HashKey struct {
	Header   string
	Query    string
	Cookie   *HashCookie
	SourceIP bool
}

// HashCookie is a cookie that clients without it are given if there is a TTL.
type HashCookie struct {
	Name, Path string
	TTL        *time.Duration // nil: no cookie is given; 0: until the browser ends
	Attributes []Header
}

// ConnectionPool limits a client's connections and requests. Of counts, 0 is no limit.
type ConnectionPool struct {
	MaxConnections, MaxPending, MaxRequests, MaxRetries uint32 // at a time
	RequestsPerConnection, StreamsPerConnection         uint32
	ConnectTimeout                                      time.Duration  // 0: the default
	MaxAge                                              time.Duration  // of a connection; 0: any
	IdleTimeout                                         *time.Duration // nil: the default; 0: never
	Keepalive                                           *Keepalive     // nil: as the proxy has it
	// HTTP2 speaks HTTP/2 to the endpoints, ClientProtocol what the client speaks.
	HTTP2, ClientProtocol bool
	Ping                  *Ping
}

// Keepalive are TCP's own probes; of each, 0 is the system's default.
type Keepalive struct {
	Probes         uint32
	Time, Interval time.Duration // whole seconds
}

// Ping asks over idle HTTP/2 connections whether the other end is there.
type Ping struct{ Interval, Timeout time.Duration }

// OutlierDetection ejects endpoints that fail. Of a count, nil is Envoy's default,
// and 0 ejects for no number; of a time and of MaxEjected 0 is Envoy's default.
type OutlierDetection struct {
	Errors, GatewayErrors, LocalFailures *uint32 // in a row
	SplitLocal                           bool    // count failures to connect apart
	Interval, BaseEjection               time.Duration
	MaxEjected                           uint32 // percent of the endpoints
	// MinHealthy is the percentage of endpoints below which ejection has no effect.
	MinHealthy uint32
}
