package route

import (
	"slices"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Retry says when a request is sent again.
type Retry struct {
	Times         int
	PerTry        time.Duration // 0: none
	Base, Max     time.Duration // of the wait between tries
	Choices       int           // how often another endpoint is chosen to find one that was not asked yet
	connect       bool          // the connection could not be made
	reset         bool          // it broke before the answer's head
	refused       bool          // the server refused the stream (HTTP/2)
	anyServer     bool          // 5xx
	gateway       bool          // 502, 503, 504
	retriable4xx  bool          // 409
	statusCodes   []uint32
	onStatusCodes bool
	rateLimited   bool            // also an answer with x-envoy-ratelimited
	grpc          []string        // values of grpc-status
	headers       []*match.Header // of the answer, one of which is enough
	request       []*match.Header // of the request, one of which must be there; none: any request
}

// For gives what holds for a request: nothing if it is none that may be sent again.
func (r *Retry) For(x *exchange.Exchange) *Retry {
	if r == nil || len(r.request) == 0 || slices.ContainsFunc(r.request, func(h *match.Header) bool { return h.Match(x) }) {
		return r
	}
	return nil
}

// Answer tells whether another try may follow an answer's head.
func (r *Retry) Answer(a *exchange.Response) bool {
	if _, limited := a.Header.Lookup("x-envoy-ratelimited"); limited {
		return r.rateLimited
	}
	if r.Status(a.Status) {
		return true
	}
	if status, ok := a.Header.Lookup("grpc-status"); ok && slices.Contains(r.grpc, status) {
		return true
	}
	return slices.ContainsFunc(r.headers, func(h *match.Header) bool { return h.MatchFields(&a.Header) })
}

// grpcStatus are the conditions that name a status of gRPC, in an answer of headers
// alone.
var grpcStatus = map[string]string{"cancelled": "1", "deadline-exceeded": "4", "resource-exhausted": "8", "internal": "13", "unavailable": "14"}

// Connect tells whether a failure to connect is tried again.
func (r *Retry) Connect() bool { return r.connect || r.anyServer || r.gateway || r.reset }

// Reset tells whether a connection that broke before the answer is.
func (r *Retry) Reset() bool { return r.reset || r.anyServer || r.gateway }

// Refused tells whether a stream that the server has refused is.
func (r *Retry) Refused() bool { return r.refused || r.Reset() }

// Status tells whether an answer of that status is.
func (r *Retry) Status(s int) bool {
	switch {
	case r.anyServer && s >= 500 && s < 600, r.gateway && s >= 502 && s <= 504, r.retriable4xx && s == 409:
		return true
	}
	return r.onStatusCodes && slices.Contains(r.statusCodes, uint32(s))
}

func compileRetry(p *routev3.RetryPolicy) (*Retry, error) {
	if p == nil {
		return nil, nil
	}
	if err := strict.Only(p, "retry_on", "num_retries", "per_try_timeout", "retriable_status_codes", "retry_back_off",
		"retriable_headers", "retriable_request_headers", "retry_host_predicate", "host_selection_retry_max_attempts"); err != nil {
		return nil, err
	}
	r := &Retry{Times: 1, PerTry: p.GetPerTryTimeout().AsDuration(), Base: 25 * time.Millisecond, statusCodes: p.GetRetriableStatusCodes()}
	if n := p.GetNumRetries(); n != nil {
		r.Times = int(min(n.GetValue(), 100))
	}
	if b := p.GetRetryBackOff(); b != nil {
		r.Base, r.Max = b.GetBaseInterval().AsDuration(), b.GetMaxInterval().AsDuration()
	}
	if r.Max == 0 {
		r.Max = 10 * r.Base
	}
	var err error
	if r.Choices, err = compileHostPredicates(p); err != nil {
		return nil, err
	}
	for i, m := range p.GetRetriableRequestHeaders() {
		h, err := match.CompileHeader(m)
		if err != nil {
			return nil, strict.AtIndex("retriable_request_headers", i, err)
		}
		r.request = append(r.request, h)
	}
	for _, on := range strings.Split(p.GetRetryOn(), ",") {
		switch on = strings.TrimSpace(on); on {
		case "", "http3-post-connect-failure":
		case "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable":
			r.grpc = append(r.grpc, grpcStatus[on])
		case "envoy-ratelimited":
			r.rateLimited = true
		case "retriable-headers":
			if r.headers, err = compileRetriable(p.GetRetriableHeaders()); err != nil {
				return nil, err
			}
		case "reset-before-request":
			// A pooled connection that turns out to be dead is replaced anyway; of a
			// request that was written nobody knows that it was not processed.
		case "connect-failure":
			r.connect = true
		case "refused-stream":
			r.refused = true
		case "reset":
			r.reset = true
		case "5xx":
			r.anyServer = true
		case "gateway-error":
			r.gateway = true
		case "retriable-4xx":
			r.retriable4xx = true
		case "retriable-status-codes":
			r.onStatusCodes = true
		default:
			return nil, strict.Errorf("retry_on", "%q: %w", on, strict.ErrUnsupported)
		}
	}
	return r, nil
}

const previousHosts = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"

// compileHostPredicates takes the one that avoids endpoints that were asked before, and
// gives how often another one is chosen instead.
func compileHostPredicates(p *routev3.RetryPolicy) (choices int, err error) {
	for i, h := range p.GetRetryHostPredicate() {
		if h.GetName() != "envoy.retry_host_predicates.previous_hosts" && h.GetTypedConfig().GetTypeUrl() != previousHosts {
			return 0, strict.AtIndex("retry_host_predicate", i, strict.Errorf("name", "%q: %w", h.GetName(), strict.ErrUnsupported))
		}
		if choices = 1; p.GetHostSelectionRetryMaxAttempts() > 0 {
			choices = int(min(p.GetHostSelectionRetryMaxAttempts(), 100))
		}
	}
	return choices, nil
}

func compileRetriable(list []*routev3.HeaderMatcher) (out []*match.Header, err error) {
	for i, m := range list {
		h, err := match.CompileHeader(m)
		if err != nil {
			return nil, strict.AtIndex("retriable_headers", i, err)
		}
		if strings.HasPrefix(m.GetName(), ":") {
			return nil, strict.AtIndex("retriable_headers", i, strict.Errorf("name", "pseudo-headers: %w", strict.ErrUnsupported))
		}
		out = append(out, h)
	}
	return out, nil
}
