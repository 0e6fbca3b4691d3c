package upstream

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// clock stands still unless it is told.
type clock struct{ now time.Time }

// watched makes a cluster of five hosts, 1 to 5, with outlier_detection.
func watched(t testing.TB, detection string) (*Cluster, *clock, *counters.Set) {
	t.Helper()
	k, n := &clock{time.Unix(1e9, 0)}, &counters.Set{}
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, "name: c\ntype: EDS\neds_cluster_config: {eds_config: {ads: {}}}\nconnect_timeout: 1s\ncommon_lb_config: {update_merge_window: 0s}\noutlier_detection: {interval: 3600s, "+detection+"}\n", m)
	c, err := Compile(m, Options{Counters: n, Now: func() time.Time { return k.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	set(t, c, "1 2 3 4 5")
	return c, k, n
}

// sweep is what the timer does.
func (k *clock) sweep(c *Cluster, d time.Duration) {
	k.now = k.now.Add(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outlier.judge(k.now)
}

// out gives the numbers of the hosts that are not asked.
func out(c *Cluster) string {
	var b strings.Builder
	for _, e := range c.Status().Endpoints {
		if strings.Contains(e.Health, "failed_outlier") {
			fmt.Fprint(&b, e.Host.Addr.Port())
		}
	}
	return b.String()
}

func values(n *counters.Set) string {
	var all []string
	for _, v := range n.List() {
		name, outliers := strings.CutPrefix(v.Name.Name, "outlier_detection.")
		if v.Value > 0 && (outliers || strings.HasPrefix(name, "health_check.") || strings.HasPrefix(name, "lb_subsets_")) {
			all = append(all, fmt.Sprint(strings.TrimPrefix(name, "ejections_"), " ", v.Value))
		}
	}
	return strings.Join(all, ", ")
}

func times(n int, f func()) {
	for range n {
		f()
	}
}

func TestConsecutive(t *testing.T) {
	status := func(codes ...int) func(*Host) {
		return func(h *Host) {
			for _, s := range codes {
				h.Answered(s, false)
			}
		}
	}
	for _, tt := range []struct {
		name, detection string
		tell            func(*Host)
		out             string
		counts          string
	}{
		{"5xx", "consecutive_5xx: 3, max_ejection_percent: 20", status(500, 500, 501), "1", "active 1, consecutive_5xx 1, detected_consecutive_5xx 1, enforced_consecutive_5xx 1, enforced_total 1, total 1"},
		{"not enough", "consecutive_5xx: 3, max_ejection_percent: 20", status(500, 500), "", ""},
		{"not in a row", "consecutive_5xx: 3, max_ejection_percent: 20", status(500, 500, 404, 500, 500), "", ""},
		{"never", "consecutive_5xx: 0, max_ejection_percent: 20", status(500, 500, 500, 500, 500, 500, 500, 500), "", ""},
		{"too many", "consecutive_5xx: 3", status(500, 500, 500), "", "consecutive_5xx 1, detected_consecutive_5xx 1, overflow 1"},
		{"one may", "consecutive_5xx: 3, always_eject_one_host: true", status(500, 500, 500), "1", "active 1, consecutive_5xx 1, detected_consecutive_5xx 1, enforced_consecutive_5xx 1, enforced_total 1, total 1"},
		{"spared", "consecutive_5xx: 3, max_ejection_percent: 20, enforcing_consecutive_5xx: 0", status(500, 500, 500, 500, 500, 500), "", "consecutive_5xx 2, detected_consecutive_5xx 2, total 2"},
		{"gateway is not enforced", "consecutive_gateway_failure: 2, max_ejection_percent: 20", status(502, 503), "", "detected_consecutive_gateway_failure 1"},
		{"gateway", "consecutive_gateway_failure: 2, max_ejection_percent: 20, enforcing_consecutive_gateway_failure: 100", status(500, 504, 503), "1",
			"active 1, detected_consecutive_gateway_failure 1, enforced_consecutive_gateway_failure 1, enforced_total 1"},
		{"gateway, not in a row", "consecutive_gateway_failure: 2, max_ejection_percent: 20, enforcing_consecutive_gateway_failure: 100", status(504, 500, 503), "", ""},
		{"connections count as 5xx", "consecutive_5xx: 3, max_ejection_percent: 20", func(h *Host) { h.Failed(); h.Connected(); h.TimedOut(); h.Failed() }, "1",
			"active 1, consecutive_5xx 1, detected_consecutive_5xx 1, enforced_consecutive_5xx 1, enforced_total 1, total 1"},
		{"connections alone", "consecutive_5xx: 3, max_ejection_percent: 20", func(h *Host) { h.Failed(); h.Failed(); h.Established(); h.Failed() }, "", ""},
		{"split", "split_external_local_origin_errors: true, consecutive_5xx: 1, consecutive_local_origin_failure: 3, max_ejection_percent: 20", func(h *Host) { h.Failed(); h.TimedOut(); h.Failed() }, "1",
			"active 1, detected_consecutive_local_origin_failure 1, enforced_consecutive_local_origin_failure 1, enforced_total 1"},
		{"split, not in a row", "split_external_local_origin_errors: true, consecutive_local_origin_failure: 3, max_ejection_percent: 20", func(h *Host) { h.Failed(); h.TimedOut(); h.Connected(); h.Failed() }, "", ""},
		{"degraded", "detect_degraded_hosts: true", func(h *Host) { h.Answered(200, true); h.Answered(200, true) }, "", "detected_degradation 1"},
		{"degraded, not heard", "consecutive_5xx: 5", func(h *Host) { h.Answered(200, true) }, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, n := watched(t, tt.detection)
			tt.tell(c.Hosts()[0])
			if got := out(c); got != tt.out {
				t.Errorf("out: %q, want %q", got, tt.out)
			}
			if got := values(n); got != tt.counts {
				t.Errorf("counted: %s\nwant:    %s", got, tt.counts)
			}
			c.Close()
			if got := values(n); got != "" {
				t.Errorf("counted after the end: %s", got)
			}
		})
	}
}

// An ejected host is not asked, and comes back after longer and longer times.
func TestEjectionTime(t *testing.T) {
	c, k, n := watched(t, "consecutive_5xx: 1, consecutive_gateway_failure: 9, base_ejection_time: 10s, max_ejection_time: 25s, max_ejection_percent: 50, interval: 5s")
	h := c.Hosts()[0]
	eject := func(until ...time.Duration) { // from when it is still out, and when no more
		t.Helper()
		h.Answered(500, false)
		if out(c) != "1" {
			t.Fatal("not out")
		}
		for range 100 {
			if p, err := c.Pick(t.Context(), Ask{}); err != nil || p == h {
				t.Fatal("asked:", p.Text, err)
			}
		}
		k.sweep(c, until[0])
		if out(c) != "1" {
			t.Fatal("back too early")
		}
		k.sweep(c, until[1]-until[0])
		if out(c) != "" {
			t.Fatal("not back")
		}
	}
	eject(9*time.Second, 10*time.Second)
	eject(19*time.Second, 20*time.Second)
	eject(24*time.Second, 25*time.Second)
	if got := values(n); !strings.Contains(got, "enforced_total 3") || strings.Contains(got, "active") {
		t.Error(got)
	}
	for range 4 { // good times make the next one shorter
		k.sweep(c, 5*time.Second)
	}
	eject(9*time.Second, 10*time.Second)
	// A host that goes while it is out does not count any more; nor does what comes of it.
	h.Answered(500, false)
	set(t, c, "2 3 4 5")
	times(3, func() { h.Answered(500, false) })
	if got := values(n); strings.Contains(got, "active") {
		t.Error(got)
	}
}

func TestRates(t *testing.T) {
	for _, tt := range []struct {
		name, detection string
		good            [5]int // of 100 answers
		out             string
		average, ejects float64
	}{
		{"success rate", "max_ejection_percent: 100", [5]int{50, 100, 100, 100, 100}, "1", 90, 52},
		{"all alike", "max_ejection_percent: 100", [5]int{50, 50, 50, 50, 50}, "", 50, 50},
		{"deviations", "max_ejection_percent: 100, success_rate_stdev_factor: 2100", [5]int{50, 100, 100, 100, 100}, "", 90, 48},
		{"few hosts", "max_ejection_percent: 100, success_rate_minimum_hosts: 6", [5]int{50, 100, 100, 100, 100}, "", -1, -1},
		{"few answers", "max_ejection_percent: 100, success_rate_request_volume: 101", [5]int{50, 100, 100, 100, 100}, "", -1, -1},
		{"failures", "max_ejection_percent: 100, enforcing_success_rate: 0, enforcing_failure_percentage: 100, failure_percentage_threshold: 60", [5]int{40, 41, 0, 100, 100}, "13", 56.2, 0},
		{"failures are not enforced", "max_ejection_percent: 100, enforcing_success_rate: 0, failure_percentage_threshold: 60", [5]int{40, 41, 0, 100, 100}, "", 56.2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, k, n := watched(t, "consecutive_5xx: 0, consecutive_gateway_failure: 0, "+tt.detection)
			for i, h := range c.Hosts() {
				times(tt.good[i], func() { h.Answered(200, false) })
				times(100-tt.good[i], func() { h.Answered(500, false) })
			}
			k.sweep(c, time.Second)
			if got := out(c); got != tt.out {
				t.Errorf("out: %q, want %q (%s)", got, tt.out, values(n))
			}
			s := c.Status()
			if fmt.Sprintf("%.1f", s.Average) != fmt.Sprintf("%.1f", tt.average) || tt.ejects != 0 && s.Ejects != tt.ejects {
				t.Errorf("compared with %v, %v", s.Average, s.Ejects)
			}
			if i := slices.IndexFunc(s.Endpoints, func(e EndpointStatus) bool { return e.LocalSuccessRate != -1 }); i >= 0 {
				t.Error("a rate of connections")
			}
		})
	}
}

func TestLocalRates(t *testing.T) {
	c, k, n := watched(t, "split_external_local_origin_errors: true, consecutive_local_origin_failure: 0, max_ejection_percent: 100")
	for i, h := range c.Hosts() {
		times(100, func() {
			if i == 0 {
				h.Failed()
			} else {
				h.Connected()
			}
		})
	}
	k.sweep(c, time.Second)
	if got := out(c); got != "1" {
		t.Errorf("out: %q (%s)", got, values(n))
	}
	if s := c.Status(); s.LocalAverage != 80 || s.Average != -1 || s.Endpoints[1].LocalSuccessRate != 100 || s.Endpoints[1].SuccessRate != -1 {
		t.Errorf("%+v", s)
	}
}

// A host that calls itself degraded is asked after the others, for as long as one that
// is ejected.
func TestDegradedOutlier(t *testing.T) {
	c, k, _ := watched(t, "detect_degraded_hosts: true, base_ejection_time: 10s")
	h := c.Hosts()[0]
	h.Answered(200, true)
	for range 100 {
		if p, _ := c.Pick(t.Context(), Ask{}); p == h {
			t.Fatal("asked")
		}
	}
	if got := c.Status().Endpoints[0].Health; got != "/degraded_outlier_detection" {
		t.Error(got)
	}
	k.sweep(c, 10*time.Second)
	if got := c.Status().Endpoints[0].Health; got != "healthy" {
		t.Error(got)
	}
}

// Of two changes of health in a short time the second waits until the window is over,
// or endpoints change.
func TestMergeWindow(t *testing.T) {
	c, k, _ := watched(t, "consecutive_5xx: 1, max_ejection_percent: 100")
	c.merge.window = time.Hour
	asked := func(h *Host) bool {
		for range 100 {
			if p, _ := c.Pick(t.Context(), Ask{}); p == h {
				return true
			}
		}
		return false
	}
	hosts := c.Hosts()
	hosts[0].Answered(500, false)
	hosts[1].Answered(500, false)
	if asked(hosts[0]) || !asked(hosts[1]) {
		t.Error("the first change waits, or the second does not")
	}
	c.merged()
	if asked(hosts[1]) {
		t.Error("the window does not end")
	}
	hosts[2].Answered(500, false)
	set(t, c, "2 3 4 5")
	if asked(hosts[2]) {
		t.Error("new endpoints do not take the changes in")
	}
	k.now = k.now.Add(2 * time.Hour)
	hosts[3].Answered(500, false)
	if c.hosts.Load().loads[0].Panic != true {
		t.Error("a change waits after the window")
	}
}

func TestOutlierRefused(t *testing.T) {
	for text, want := range map[string]string{
		"monitors: [{name: x}]": "outlier_detection.monitors: not supported",
		"interval: 0s":          "outlier_detection.interval: must be above 0",
		"base_ejection_time: 400s, max_ejection_time: 1s": "outlier_detection.max_ejection_time: below base_ejection_time",
		"max_ejection_percent: 101":                       "outlier_detection.max_ejection_percent: above 100",
		"max_ejection_time_jitter: -1s":                   "outlier_detection.max_ejection_time_jitter: not a duration from 0 on",
	} {
		m := new(clusterv3.Cluster)
		proxytest.Decode(t, "{name: c, type: STATIC, outlier_detection: {"+text+"}}", m)
		if _, err := Compile(m, Options{}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func BenchmarkAnswered(b *testing.B) {
	c, _, _ := watched(b, "")
	h := c.Hosts()[0]
	b.Run("watched", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.Connected()
			h.Answered(200, false)
		}
	})
	b.Run("not", func(b *testing.B) {
		h := &Host{}
		for b.Loop() {
			h.Connected()
			h.Answered(200, false)
		}
	})
}

// TestNoSweepBefore: outliers are looked for when the cluster is there, not while it is made,
// which may take longer than the interval.
func TestNoSweepBefore(t *testing.T) {
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, "name: c\ntype: EDS\neds_cluster_config: {eds_config: {ads: {}}}\noutlier_detection: {interval: 0.001s}\n", m)
	o := Options{Log: slog.New(slog.DiscardHandler), Now: time.Now}
	c := &Cluster{Name: "c", opts: o, Counts: new(Counts)}
	if err := c.compile(m); err != nil || c.outlier == nil || c.outlier.timer != nil {
		t.Errorf("%v, or it is swept while it is made", err)
	}
	c.Close() // of one that is refused: there is no timer to stop
	c, err := Compile(m, o)
	if err != nil || c.outlier.timer == nil {
		t.Fatalf("%v, or it is not swept", err)
	}
	c.Close()
}
