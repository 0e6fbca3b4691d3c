package fault

import (
	"strings"
	"testing"
	"time"

	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

func newFilter(t *testing.T, text string, set *counters.Set) (filter.Filter, error) {
	t.Helper()
	return Factory(set).New(filter.Config{Name: "fault", Typed: proxytest.Pack(t, text, &faultv3.HTTPFault{}), StatPrefix: "p"})
}

// What a header may ask for, and what it may not.
func TestByHeader(t *testing.T) {
	f, err := newFilter(t, `{abort: {header_abort: {}, percentage: {numerator: 100}}, delay: {header_delay: {}, percentage: {numerator: 100}}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	const status, grpc, share = "x-envoy-fault-abort-request: ", "x-envoy-fault-abort-grpc-request: ", "x-envoy-fault-abort-request-percentage: "
	const delay, delayShare = "x-envoy-fault-delay-request: ", "x-envoy-fault-delay-request-percentage: "
	for _, c := range []struct {
		headers string
		status  int // 0: passes
		grpc    int
		slept   time.Duration
	}{
		{"", 0, -1, 0},
		{status + "200", 200, -1, 0},
		{status + "599", 599, -1, 0},
		{status + "+503", 503, -1, 0},
		{status + "600", 0, -1, 0},
		{status + "199", 0, -1, 0},
		{status + "x", 0, -1, 0},
		{status + "-1", 0, -1, 0},
		{status + "99999999999999999999999", 0, -1, 0},
		{status + "503\n" + status + "504", 503, -1, 0},
		{status + "503\n" + share + "0", 0, -1, 0},
		{status + "503\n" + share + "1000", 503, -1, 0},
		{status + "503\n" + share + "x", 503, -1, 0},
		{grpc + "7", 200, 7, 0},
		{grpc + "-7", 0, -1, 0},
		{grpc + "4294967296", 0, -1, 0},
		{status + "503\n" + grpc + "7", 503, -1, 0},
		{delay + "10", 0, -1, 10 * time.Millisecond},
		{delay + "0", 0, -1, 0},
		{delay + "x", 0, -1, 0},
		{delay + "18446744073709551615", 0, -1, maxDelay},
		{delay + "10\n" + delayShare + "0", 0, -1, 0},
		{delay + "10\n" + status + "503", 503, -1, 10 * time.Millisecond},
	} {
		x := &exchange.Exchange{}
		var slept time.Duration
		x.Sleep = func(d time.Duration) bool { slept = d; return true }
		for h := range strings.Lines(c.headers) {
			name, value, _ := strings.Cut(strings.TrimSpace(h), ": ")
			x.Request.Header.Add(name, value)
		}
		passes := f.Decode(x)
		code, ok := x.LocalGRPC()
		if passes != (c.status == 0) || x.Response.Status != c.status || slept != c.slept || ok != (c.grpc >= 0) || ok && code != c.grpc || x.Delayed != (slept > 0) {
			t.Errorf("%q: %v %d, gRPC %d, after %v", c.headers, passes, x.Response.Status, code, slept)
		}
	}
}

// A request is one active fault until its end, and what is above the limit passes.
func TestActiveFaults(t *testing.T) {
	set := &counters.Set{}
	f, err := newFilter(t, `{max_active_faults: 1, delay: {fixed_delay: 1s, percentage: {numerator: 100}}, abort: {http_status: 503, percentage: {numerator: 100}}}`, set)
	if err != nil {
		t.Fatal(err)
	}
	count := func(name string) int64 {
		return set.Of(counters.Name{Scope: counters.HTTP, Of: "p", Name: "fault." + name, Gauge: name == "active_faults"}).Load()
	}
	held := &exchange.Exchange{Sleep: func(time.Duration) bool { return true }}
	if f.Decode(held) || count("active_faults") != 1 || held.ResponseFlags() != "DI,FI" {
		t.Errorf("%d active, %q", count("active_faults"), held.ResponseFlags())
	}
	if !f.Decode(&exchange.Exchange{}) || count("faults_overflow") != 1 {
		t.Error("a second fault is injected")
	}
	held.End()
	held.End()
	if count("active_faults") != 0 || count("aborts_injected") != 1 || count("delays_injected") != 1 {
		t.Errorf("%d active, %d aborts, %d delays", count("active_faults"), count("aborts_injected"), count("delays_injected"))
	}
	gone := &exchange.Exchange{Sleep: func(time.Duration) bool { return false }}
	if f.Decode(gone) || count("aborts_injected") != 1 || gone.Response.Status != 0 {
		t.Error("a client that is gone is answered")
	}
}

// A lasting connection is not ended by a fault.
func TestJudgedAgain(t *testing.T) {
	f, err := newFilter(t, `{abort: {http_status: 503, percentage: {numerator: 100}}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Decode(&exchange.Exchange{Again: true}) {
		t.Error("answered")
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for text, path := range map[string]string{
		`{response_rate_limit: {}}`:                                 "response_rate_limit.limit_type",
		`{response_rate_limit: {fixed_limit: {}}}`:                  "response_rate_limit.fixed_limit.limit_kbps",
		`{abort: {percentage: {numerator: 1}}}`:                     "abort.error_type",
		`{abort: {http_status: 199}}`:                               "abort.http_status",
		`{abort: {http_status: 600}}`:                               "abort.http_status",
		`{abort: {http_status: 500, percentage: {denominator: 3}}}`: "abort.percentage.denominator",
		`{delay: {}}`:                 "delay.fault_delay_secifier",
		`{delay: {fixed_delay: 0s}}`:  "delay.fixed_delay",
		`{delay: {fixed_delay: -1s}}`: "delay.fixed_delay",
		`{headers: [{name: ""}]}`:     "headers[0].name",
	} {
		if _, err := newFilter(t, text, nil); err == nil || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// text is content that has come.
type text struct{ *strings.Reader }

func (t text) Whole() ([]byte, bool) { return nil, true }
func (t text) Skip()                 {}
func (t text) Done() bool            { return t.Len() == 0 }
func (t text) Buffered() int         { return t.Len() }

// Content is given in slices: one at once, then sixteen a second; those of a time in
// which nobody reads add up to a second's.
func TestSlow(t *testing.T) {
	at := time.Unix(0, 0)
	s := newSlow(text{strings.NewReader(strings.Repeat("x", 1000))}, 160)
	s.at, s.now, s.sleep = at, func() time.Time { return at }, func(d time.Duration) { at = at.Add(d) }
	if _, whole := s.Whole(); whole {
		t.Error("it is to be had at once")
	}
	p := make([]byte, 100)
	read := func(want int) {
		t.Helper()
		if n, err := s.Read(p); n != want || err != nil {
			t.Errorf("%d bytes, %v, want %d", n, err, want)
		}
	}
	read(10)
	if s.Buffered() != 0 || at != time.Unix(0, 0) {
		t.Errorf("%d at hand after %v", s.Buffered(), at)
	}
	for range 16 {
		read(10)
	}
	if d := at.Sub(time.Unix(0, 0)).Round(time.Millisecond); d != time.Second {
		t.Errorf("17 slices took %v", d)
	}
	at = at.Add(time.Hour)
	was := at
	for range 16 {
		read(10)
	}
	if at != was {
		t.Error("a second's slices are not at hand")
	}
	if read(10); at == was {
		t.Error("more than a second's slices are at hand")
	}
}

// A header asks for a rate, at most as often as the configuration says.
func TestRate(t *testing.T) {
	for _, c := range []struct {
		config, header string
		want           uint64
	}{
		{"{fixed_limit: {limit_kbps: 5}, percentage: {numerator: 100}}", "", 5},
		{"{fixed_limit: {limit_kbps: 5}}", "", 0},
		{"{header_limit: {}, percentage: {numerator: 100}}", "7", 7},
		{"{header_limit: {}, percentage: {numerator: 100}}", "18446744073709551615", maxRate},
		{"{header_limit: {}, percentage: {numerator: 100}}", "0", 0},
		{"{header_limit: {}, percentage: {numerator: 100}}", "-1", 0},
		{"{header_limit: {}, percentage: {numerator: 0}}", "7", 0},
	} {
		f, err := newFilter(t, "{response_rate_limit: "+c.config+"}", nil)
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{}
		if c.header != "" {
			x.Request.Header.Add("x-envoy-fault-throughput-response", c.header)
		}
		f.Decode(x)
		if got, _ := x.Kept(f).(uint64); got != c.want {
			t.Errorf("%s %s: %d", c.config, c.header, got)
		}
	}
}
