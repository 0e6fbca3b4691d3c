package xds

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/mesh"
)

// follow acknowledges everything, and reports the version of cluster "a" whenever
// it comes.
func (c *client) follow(got chan<- string) {
	for {
		select {
		case m := <-c.in:
			if c.stream.Send(ackOf(m)) != nil {
				return
			}
			for _, r := range m.Resources {
				if r.Name == "a" {
					got <- r.Version
				}
			}
		case <-c.err:
			return
		}
	}
}

// fleet connects n proxies of one namespace that follow.
func (h *harness) fleet(n int) ([]*mesh.Workload, []chan string) {
	h.t.Helper()
	var all []*mesh.Workload
	for i := range n {
		all = append(all, work("tutorial", fmt.Sprintf("w-%04d", i), "customer"))
	}
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "0")}, all...)
	src := h.source("tutorial", "customer", 0)
	got := make([]chan string, n)
	var wg sync.WaitGroup
	for i, w := range all {
		got[i] = make(chan string, 16)
		c := h.dial(src)
		c.sub(nodeOf("sidecar", "tutorial", w.Name), xdsgen.ClusterType)
		c.sub(nil, xdsgen.ListenerType)
		go c.follow(got[i])
		wg.Go(func() { <-got[i] })
	}
	wg.Wait()
	return all, got
}

func TestManyProxies(t *testing.T) {
	h := start(t, Limits{})
	all, got := h.fleet(200)
	for v := 1; v <= 5; v++ {
		version := fmt.Sprint(v)
		h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", version)}, all...)
		for i, g := range got {
			select {
			case s := <-g:
				if s != version {
					t.Fatalf("proxy %d got %s, want %s", i, s, version)
				}
			case <-time.After(patience):
				t.Fatalf("proxy %d did not get version %s", i, version)
			}
		}
	}
	h.eventually("all have acknowledged", func() bool {
		for _, p := range h.server.Proxies() {
			if p.Acked != h.gen {
				return false
			}
		}
		return len(h.server.Proxies()) == len(all)
	})
}

func TestProxiesShareTheirNames(t *testing.T) {
	s := newNameSets()
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("outbound|8080||service-%d", i))
	}
	one := s.with(noNames, names, nil)
	other := s.with(s.with(noNames, names[:500], nil), names[500:], nil)
	if one != other {
		t.Error("equal sets are not shared")
	}
	less := s.with(one, nil, names[:999])
	if len(less.names) != 1 || !less.has(names[999]) || less.has(names[0]) {
		t.Errorf("what is left: %v", less.names)
	}
	if s.with(less, nil, names) != noNames {
		t.Error("the empty set is not shared")
	}
}

// TestSlowReader: a client that reads nothing is cut off, and holds up nobody.
func TestSlowReader(t *testing.T) {
	h := start(t, Limits{AnswerWithin: 200 * time.Millisecond})
	fast := work("tutorial", "fast", "customer")
	big := strings.Repeat("x", 1<<20)
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "1"), res(xdsgen.ListenerType, big, "1"), res(xdsgen.ListenerType, big+"y", "1")}, customer, fast)
	src := h.source("tutorial", "customer", 0)
	slow := h.open(src)
	slow.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	slow.sub(nil, xdsgen.ListenerType)

	c := h.dial(src)
	c.sub(nodeOf("sidecar", "tutorial", "fast"), xdsgen.ClusterType)
	c.ack(c.expect("cluster a@1"))
	for v := 2; v < 20; v++ {
		h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", fmt.Sprint(v)), res(xdsgen.ListenerType, big, fmt.Sprint(v))}, customer, fast)
		c.ack(c.expect(fmt.Sprintf("cluster a@%d", v)))
	}
	h.eventually("the slow one is gone", func() bool {
		p := h.server.Proxies()
		return len(p) == 1 && p[0].Name == "fast"
	})
}

func TestTooManyNames(t *testing.T) {
	h := start(t, Limits{Names: 10})
	h.serve(nil, customer)
	c := h.dial(h.source("tutorial", "customer", 0))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.EndpointType, "1", "2", "3", "4", "5", "6")
	c.ack(c.recv())
	c.sub(nil, xdsgen.EndpointType, "a", "b", "c", "d", "e", "f")
	if s := c.ended(); s.Code() != codes.ResourceExhausted {
		t.Errorf("ended with %v", s)
	}
}

func TestLargeRequest(t *testing.T) {
	h := start(t, Limits{RequestBytes: 4096})
	h.serve(nil, customer)
	c := h.dial(h.source("tutorial", "customer", 0))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.EndpointType, strings.Repeat("n", 5000))
	if s := c.ended(); s.Code() != codes.ResourceExhausted {
		t.Errorf("ended with %v", s)
	}
}

// TestRoutesAfterTheListener: a proxy that has a listener, and not yet its route,
// has not all of the generation.
func TestRoutesAfterTheListener(t *testing.T) {
	h := start(t, Limits{})
	h.serve([]*xdsgen.Resource{res(xdsgen.ListenerType, "a", "1"), res(xdsgen.RouteType, "r", "1")}, customer)
	c := h.dial(h.source("tutorial", "customer", 0))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	c.sub(nil, xdsgen.ListenerType)
	c.ack(c.expect("cluster"))
	c.ack(c.expect("listener a@1"))
	c.quiet("x")
	if p := h.server.Proxies(); p[0].Acked != 0 {
		t.Errorf("acknowledged without the route: %+v", p[0])
	}
	c.sub(nil, xdsgen.RouteType, "r")
	c.ack(c.expect("route r@1"))
	h.eventually("all is acknowledged", func() bool { return h.server.Proxies()[0].Acked == h.gen })
}

// BenchmarkAck: from a new model to the last of 200 proxies' acknowledgement.
func BenchmarkAck(b *testing.B) {
	for _, n := range []int{10, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := start(b, Limits{})
			all, got := h.fleet(n)
			var worst time.Duration
			b.ResetTimer()
			for i := range b.N {
				begin := time.Now()
				h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", fmt.Sprint(i+1))}, all...)
				for _, g := range got {
					<-g
				}
				worst = max(worst, time.Since(begin))
			}
			b.ReportMetric(float64(worst.Microseconds())/1000, "ms/worst")
		})
	}
}
