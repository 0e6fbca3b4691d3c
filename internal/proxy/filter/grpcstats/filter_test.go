package grpcstats

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// to is a route to the cluster of that name.
type to string

func (r to) Cluster(*exchange.Exchange) string { return string(r) }

func compiled(t testing.TB, text string, up *upstream.Cluster) (*Filter, error) {
	t.Helper()
	f, err := Factory(func(name string) *upstream.Cluster {
		if name == "up" {
			return up
		}
		return nil
	}).New(filter.Config{Name: "m", Typed: proxytest.Pack(t, text, &grpcstatsv3.FilterConfig{})})
	if err != nil {
		return nil, err
	}
	return f.(*Filter), nil
}

func request(path string) *exchange.Exchange {
	x := &exchange.Exchange{Route: to("up")}
	x.Request.Path = path
	x.Request.Header.Add("content-type", "application/grpc")
	return x
}

// stream is content that comes piece by piece, or is at hand as a whole.
type stream struct {
	left  string
	whole bool
	end   func()
}

func (s *stream) Read(p []byte) (int, error) {
	if s.left == "" {
		if s.end != nil {
			s.end()
		}
		return 0, io.EOF
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}
func (s *stream) Whole() ([]byte, bool) { return []byte(s.left), s.whole }
func (s *stream) Skip()                 { s.left = "" }
func (s *stream) Done() bool            { return s.left == "" && s.end == nil }
func (s *stream) Buffered() int         { return len(s.left) }

// TestRefused names what is not taken, with its place.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{individual_method_stats_allowlist: {services: [{name: a, method_names: [b]}, {method_names: [b]}]}}`: "individual_method_stats_allowlist.services[1].name: empty",
		`{individual_method_stats_allowlist: {services: [{name: a}]}}`:                                         "individual_method_stats_allowlist.services[0].method_names: empty",
	} {
		if _, err := compiled(t, text, nil); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestOnce: content that is looked at before it is read, as a whole or again for another try,
// is counted once, and the time is that of an answer with trailers.
func TestOnce(t *testing.T) {
	up := &upstream.Cluster{Counts: &upstream.Counts{}}
	f, err := compiled(t, `{stats_for_all_methods: true, enable_upstream_stats: true, emit_filter_state: true}`, up)
	if err != nil {
		t.Fatal(err)
	}
	const two = "\x00\x00\x00\x00\x01a\x00\x00\x00\x00\x00"
	x := request("/a.B/M")
	x.Request.Body = &stream{left: two, whole: true}
	if !f.Decode(x) {
		t.Fatal("refused")
	}
	body := x.Request.Body.(exchange.Content)
	body.Whole()
	body.Whole()
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	x.Response.Status = 200
	x.Response.Header.Add("content-type", "application/grpc+proto")
	x.Response.Body = &stream{left: two + two, end: func() { x.Response.Trailer.Add("grpc-status", "14") }}
	f.Encode(x)
	io.Copy(struct{ io.Writer }{io.Discard}, x.Response.Body)
	again := request("/a.B/M")
	again.Again = true
	f.Decode(again)
	c := up.Counts.GRPC.Of("a.B", "M")
	times, _ := c.Time.Load()
	n := uint64(0)
	for _, t := range times {
		n += t
	}
	if got := fmt.Sprint(c.Requests.Load(), c.Responses.Load(), x.Messages.Request, x.Messages.Response, n, again.Messages); got != "2 4 2 4 1 <nil>" {
		t.Error(got)
	}
}

// TestHostile: statuses and paths that clients and servers make up get no counter of their own.
func TestHostile(t *testing.T) {
	up := &upstream.Cluster{Counts: &upstream.Counts{}}
	f, err := compiled(t, `{stats_for_all_methods: true}`, up)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		for _, path := range []string{fmt.Sprintf("/S/M%d", i), fmt.Sprintf("/S/%d", i), fmt.Sprintf("/S/M-%d", i), fmt.Sprintf("/S..%c/M", 'a'+i%26), "/S/" + strings.Repeat("M", 200+i)} {
			x := request(path)
			f.Decode(x)
			x.Response.Header.Add("grpc-status", fmt.Sprint([]any{i, "-1", "+1", "01", "", "1 ", "99999999999999999999"}[i%7]))
			f.Encode(x)
		}
	}
	names, methods := map[string]bool{}, 0
	up.Counts.GRPC.List(func(prefix string, _ any) {
		names[prefix] = true
		methods++
	})
	if methods != 501 || !names[""] || !names["S.M0."] || names["S.0."] {
		t.Errorf("%d methods: %v", methods, names)
	}
	known := map[string]bool{"success": true, "failure": true, "total": true}
	for i := range 17 {
		known[fmt.Sprint(i)] = true
	}
	var set counters.Set
	type group struct {
		GRPC upstream.Calls `stat:"grpc."`
	}
	g := counters.Group[group](&set, counters.Cluster, "up")
	for i := range 300 {
		g.GRPC.Of("S", "M").Status.Inc(i - 20)
	}
	for _, v := range set.List() {
		if name, ok := strings.CutPrefix(v.Name.Name, "grpc.S.M."); !ok || !known[name] {
			t.Errorf("%s is counted", v.Name.Name)
		}
	}
}

// TestAllocations: a request that is none of gRPC costs nothing.
func TestAllocations(t *testing.T) {
	f, err := compiled(t, `{emit_filter_state: true}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{}
	x.Request.Header.Add("content-type", "application/json")
	x.Response.Header.Add("content-type", "application/json")
	if n := testing.AllocsPerRun(100, func() {
		f.Decode(x)
		f.Encode(x)
	}); n != 0 || x.Messages != nil {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFrames: however content is cut, as many messages are counted as begin in it.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x01a\x01\xff\xff\xff\xff"), byte(1))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), byte(3))
	f.Fuzz(func(t *testing.T, all []byte, step byte) {
		want, rest := uint64(0), all
		for len(rest) > 0 {
			want++
			if len(rest) < prefixLen {
				break
			}
			n := uint64(binary.BigEndian.Uint32(rest[1:])) + prefixLen
			rest = rest[min(n, uint64(len(rest))):]
		}
		got := uint64(0)
		c := frames{n: &got}
		for rest = all; len(rest) > 0; {
			n := min(len(rest), int(step)+1)
			c.count(rest[:n])
			rest = rest[n:]
		}
		if got != want {
			t.Errorf("%d, want %d", got, want)
		}
	})
}
