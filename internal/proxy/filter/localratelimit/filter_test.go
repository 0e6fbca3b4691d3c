package localratelimit

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"

	"github.com/usher-mesh/usher/internal/proxy/descriptor"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// The bucket is full at first, fills steadily, and never holds more than it may.
func TestBucket(t *testing.T) {
	at := time.Unix(1000, 0)
	b := newBucket(3, 2, 10*time.Second, func() time.Time { return at })
	for i, c := range []struct {
		after       time.Duration
		takes       bool
		left, reset uint64
	}{
		{0, true, 2, 0}, {0, true, 1, 0}, {0, true, 0, 5}, {0, false, 0, 5},
		{4 * time.Second, false, 0, 1}, {time.Second, true, 0, 5}, {12500 * time.Millisecond, true, 1, 0},
		{time.Hour, true, 2, 0}, {0, true, 1, 0}, {0, true, 0, 5}, {0, false, 0, 5},
	} {
		at = at.Add(c.after)
		takes := b.take(1)
		if left, reset := b.state(); takes != c.takes || left != c.left || reset != c.reset {
			t.Errorf("step %d: %v, %d left, %d s; want %+v", i, takes, left, reset, c)
		}
	}
}

// However many ask at once, no more pass than there are tokens.
func TestBucketIsShared(t *testing.T) {
	now := time.Now()
	b := newBucket(1000, 1, time.Hour, func() time.Time { return now })
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if b.take(1) {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1000 {
		t.Errorf("%d passed", passed.Load())
	}
}

const on = "stat_prefix: a, filter_enabled: {default_value: {numerator: 100}}, filter_enforced: {default_value: {numerator: 100}}, token_bucket: {max_tokens: 1, fill_interval: 1000s}"

// A lasting connection that is judged again spends nothing, and is not ended.
func TestJudgedAgain(t *testing.T) {
	f, err := Factory(nil, "me").New(filter.Config{Name: "l", Typed: proxytest.Pack(t, "{"+on+"}", &limitv3.LocalRateLimit{})})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !f.Decode(&exchange.Exchange{Again: true}) {
			t.Error("answered")
		}
	}
	if x := new(exchange.Exchange); !f.Decode(x) || f.Decode(x) || x.Response.Status != 429 || x.Flags != "RL" {
		t.Errorf("%d %s", x.Response.Status, x.Flags)
	}
}

// Each connection has buckets of its own, and all of its requests the same.
func TestPerConnection(t *testing.T) {
	f, err := Factory(nil, "me").New(filter.Config{Name: "l", Typed: proxytest.Pack(t, "{"+on+`, local_rate_limit_per_downstream_connection: true, rate_limits: [{actions: [{source_cluster: {}}]}], descriptors: [{entries: [{key: source_cluster, value: me}], token_bucket: {max_tokens: 5, fill_interval: 1000s}}]}`, &limitv3.LocalRateLimit{})})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c := &exchange.Conn{}
		for i := range 3 {
			if passes := f.Decode(&exchange.Exchange{Conn: c}); passes != (i == 0) {
				t.Errorf("request %d: %v", i, passes)
			}
		}
	}
}

// Entries that are written alike when joined are not the same.
func TestKey(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range [][]descriptor.Entry{{{Key: "a", Value: "b"}}, {{Key: "ab"}}, {{Key: "a"}, {Key: "b"}}, {{Key: "a", Value: "1:b"}}, {{Key: "a1:b"}}, {{Key: "a", Value: "b"}, {Key: "a", Value: "b"}}} {
		if k := key(l); seen[k] {
			t.Errorf("%v is another", l)
		} else {
			seen[k] = true
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for text, path := range map[string]string{
		`{}`:                                    "stat_prefix",
		`{stat_prefix: a, stage: 11}`:           "stage",
		`{stat_prefix: a, status: {code: 600}}`: "status.code",
		`{stat_prefix: a, descriptors: [{entries: [{key: a, value: b}]}]}`:                    "descriptors[0].token_bucket",
		`{stat_prefix: a, descriptors: [{token_bucket: {max_tokens: 1, fill_interval: 1s}}]}`: "descriptors[0].entries",
		`{stat_prefix: a, descriptors: [{entries: [{key: a}]}]}`:                              "descriptors[0].entries[0].value",
		`{stat_prefix: a, descriptors: [{entries: [{key: a, value: b}], token_bucket: {max_tokens: 1, fill_interval: 1s}}, {entries: [{key: a, value: b}], token_bucket: {max_tokens: 1, fill_interval: 1s}}]}`: "descriptors[1].entries",
		`{stat_prefix: a, rate_limits: [{}]}`:                                                                       "rate_limits[0].actions",
		`{stat_prefix: a, rate_limits: [{actions: [{source_cluster: {}}], limit: {}}]}`:                             "rate_limits[0].limit",
		`{stat_prefix: a, rate_limits: [{actions: [{source_cluster: {}}], hits_addend: {is_negative_hits: true}}]}`: "rate_limits[0].hits_addend.is_negative_hits",
		`{stat_prefix: a, local_cluster_rate_limit: {}}`:                                                            "local_cluster_rate_limit",
		`{stat_prefix: a, token_bucket: {max_tokens: 1}}`:                                                           "token_bucket.fill_interval",
		`{stat_prefix: a, token_bucket: {max_tokens: 1, fill_interval: 0.049s}}`:                                    "token_bucket.fill_interval",
		`{stat_prefix: a, token_bucket: {max_tokens: 1, fill_interval: 1s, tokens_per_fill: 0}}`:                    "token_bucket.tokens_per_fill",
		`{stat_prefix: a, filter_enabled: {default_value: {numerator: 1, denominator: 9}}}`:                         "filter_enabled.default_value.denominator",
		`{stat_prefix: a, response_headers_to_add: [{header: {key: ":status", value: b}}]}`:                         "response_headers_to_add[0].header.key",
		`{stat_prefix: a, request_headers_to_add_when_not_enforced: [{header: {key: a, value: "b\r\n"}}]}`:          "request_headers_to_add_when_not_enforced[0].header.value",
	} {
		if _, err := Factory(nil, "me").New(filter.Config{Typed: proxytest.Pack(t, text, &limitv3.LocalRateLimit{})}); err == nil || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Factory(nil, "me").PerRoute(proxytest.Pack(t, "{stat_prefix: a}", &limitv3.LocalRateLimit{})); err == nil {
		t.Error("a route's limit without a bucket is taken")
	}
}

func BenchmarkPass(b *testing.B) {
	f, err := Factory(nil, "me").New(filter.Config{Name: "l", Typed: proxytest.Pack(b, "{"+strings.Replace(on, "max_tokens: 1,", "max_tokens: 4000000000, tokens_per_fill: 4000000000,", 1)+"}", &limitv3.LocalRateLimit{})})
	if err != nil {
		b.Fatal(err)
	}
	x := new(exchange.Exchange)
	b.ReportAllocs()
	for b.Loop() {
		if !f.Decode(x) {
			b.Fatal("limited")
		}
	}
}
