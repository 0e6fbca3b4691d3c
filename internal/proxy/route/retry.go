package route

import (
	"slices"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	prioritiesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Retry says when a request is sent again.
type Retry struct {
	Times     int
	PerTry    time.Duration // 0: none
	TryIdle   time.Duration // per_try_idle_timeout; 0: none
	Base, Max time.Duration // of the wait between tries
	Choices   int           // how often another endpoint is chosen to find one that was not asked yet
	Elsewhere int           // after so many tries each the priorities that were asked are avoided; 0: never
	retryOn
	statusCodes []uint32
	headers     []*match.Header // of the answer, one of which is enough
	names       []string        // of fields of the answer, likewise
	request     []*match.Header // of the request, one of which must be there; none: any request
	resets      []reset         // of rate_limited_retry_back_off
	resetMost   time.Duration
}

// retryOn are the conditions of retry_on.
type retryOn struct {
	any           bool // at least one
	connect       bool // the connection could not be made
	reset         bool // it broke before the answer's head
	unsent        bool // nothing was sent to any server yet (reset-before-request)
	refused       bool // the server refused the stream (HTTP/2)
	anyServer     bool // 5xx
	gateway       bool // 502, 503, 504
	retriable4xx  bool // 409
	onStatusCodes bool
	onHeaders     bool
	rateLimited   bool     // also an answer with x-envoy-ratelimited
	grpc          []string // values of grpc-status
}

// maxRetries bounds how often a request is sent again, whoever asks for more.
const maxRetries = 100

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
	if !r.onHeaders {
		return false
	}
	return slices.ContainsFunc(r.headers, func(h *match.Header) bool { return h.MatchFields(&a.Header) }) ||
		slices.ContainsFunc(r.names, func(name string) bool { _, there := a.Header.Lookup(name); return there })
}

// grpcStatus are the conditions that name a status of gRPC, in an answer of headers
// alone.
var grpcStatus = map[string]string{"cancelled": "1", "deadline-exceeded": "4", "resource-exhausted": "8", "internal": "13", "unavailable": "14"}

// Connect tells whether a failure to connect is tried again. Sent: an earlier try has
// got a connection.
func (r *Retry) Connect(sent bool) bool { return r.connect || r.Reset() || r.unsent && !sent }

// Reset tells whether a connection that broke before the answer, or a try that took too
// long, is.
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

// on sets a condition by its name; false: there is none of the name.
func (c *retryOn) on(name string) bool {
	switch name {
	case "http3-post-connect-failure": // there is no HTTP/3
	case "envoy-ratelimited":
		c.rateLimited = true
	case "retriable-headers":
		c.onHeaders = true
	case "reset-before-request":
		c.unsent = true
	case "connect-failure":
		c.connect = true
	case "refused-stream":
		c.refused = true
	case "reset":
		c.reset = true
	case "5xx":
		c.anyServer = true
	case "gateway-error":
		c.gateway = true
	case "retriable-4xx":
		c.retriable4xx = true
	case "retriable-status-codes":
		c.onStatusCodes = true
	default:
		return false
	}
	c.any = true
	return true
}

// onGRPC is on for those that name a status of gRPC.
func (c *retryOn) onGRPC(name string) bool {
	status, ok := grpcStatus[name]
	if ok {
		c.grpc, c.any = append(slices.Clip(c.grpc), status), true
	}
	return ok
}

func compileRetry(p *routev3.RetryPolicy) (*Retry, error) {
	if p == nil {
		return nil, nil
	}
	if err := strict.Only(p, "retry_on", "num_retries", "per_try_timeout", "per_try_idle_timeout", "retriable_status_codes", "retry_back_off",
		"rate_limited_retry_back_off", "retriable_headers", "retriable_request_headers", "retry_host_predicate", "host_selection_retry_max_attempts", "retry_priority"); err != nil {
		return nil, err
	}
	r := defaultRetry()
	r.statusCodes = p.GetRetriableStatusCodes()
	if n := p.GetNumRetries(); n != nil {
		r.Times = int(min(n.GetValue(), maxRetries))
	}
	for _, step := range []func(*routev3.RetryPolicy) error{r.times, r.backOff, r.rateLimitedBackOff} {
		if err := step(p); err != nil {
			return nil, err
		}
	}
	var err error
	if r.Choices, err = compileHostPredicates(p); err != nil {
		return nil, err
	}
	if r.Elsewhere, err = compilePriority(p.GetRetryPriority()); err != nil {
		return nil, strict.At("retry_priority", err)
	}
	for i, m := range p.GetRetriableRequestHeaders() {
		h, err := match.CompileHeader(m)
		if err != nil {
			return nil, strict.AtIndex("retriable_request_headers", i, err)
		}
		r.request = append(r.request, h)
	}
	if r.headers, err = compileRetriable(p.GetRetriableHeaders()); err != nil {
		return nil, err
	}
	for on := range strings.SplitSeq(p.GetRetryOn(), ",") {
		if on = strings.TrimSpace(on); on != "" && !r.on(on) && !r.onGRPC(on) {
			return nil, strict.Errorf("retry_on", "%q: %w", on, strict.ErrUnsupported)
		}
	}
	return r, nil
}

// defaultRetry is a policy that says nothing.
func defaultRetry() *Retry {
	return &Retry{Times: 1, Base: 25 * time.Millisecond, Max: 250 * time.Millisecond}
}

// compileHostPredicates takes the one that avoids endpoints that were asked before, and
// gives how often another one is chosen instead.
func compileHostPredicates(p *routev3.RetryPolicy) (choices int, err error) {
	for i, h := range p.GetRetryHostPredicate() {
		if h.GetName() != "envoy.retry_host_predicates.previous_hosts" && !h.GetTypedConfig().MessageIs(&previoushostsv3.PreviousHostsPredicate{}) {
			return 0, strict.AtIndex("retry_host_predicate", i, strict.Errorf("name", "%q: %w", h.GetName(), strict.ErrUnsupported))
		}
		if choices = 1; p.GetHostSelectionRetryMaxAttempts() > 0 {
			choices = int(min(p.GetHostSelectionRetryMaxAttempts(), 100))
		}
	}
	return choices, nil
}

// compilePriority takes the choice of priorities that avoids those that were asked before, and
// gives after how many tries it looks.
func compilePriority(p *routev3.RetryPolicy_RetryPriority) (every int, err error) {
	if p == nil {
		return 0, nil
	}
	c := new(prioritiesv3.PreviousPrioritiesConfig)
	if !p.GetTypedConfig().MessageIs(c) {
		return 0, strict.Errorf("typed_config", "%s: %w", p.GetTypedConfig().GetTypeUrl(), strict.ErrUnsupported)
	}
	if err := strict.Unpack(p.GetTypedConfig(), c); err != nil {
		return 0, strict.At("typed_config", err)
	}
	if c.GetUpdateFrequency() <= 0 {
		return 0, strict.Errorf("typed_config.update_frequency", "must be above 0")
	}
	return int(c.GetUpdateFrequency()), nil
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
