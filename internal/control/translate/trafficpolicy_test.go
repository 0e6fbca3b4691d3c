package translate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usher-mesh/usher/internal/mesh"
)

func rule(name, created, rest string) string {
	return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " + name + ", namespace: t, creationTimestamp: '2026-01-0" + created +
		"T00:00:00Z'}\nspec: {host: a, " + rest + "}\n---\n"
}

// TestTrafficPolicy holds what each field comes to, and that a bad value is named, and
// leaves its part out.
func TestTrafficPolicy(t *testing.T) {
	number := func(n uint32) *uint32 { return &n }
	duration := func(d time.Duration) *time.Duration { return &d }
	hash := func(size uint64, k *mesh.HashKey) mesh.TrafficPolicy {
		return mesh.TrafficPolicy{Balancer: &mesh.LoadBalancer{Algorithm: mesh.RingHash, Size: size, Hash: k}}
	}
	simple := func(a mesh.Algorithm) mesh.TrafficPolicy {
		return mesh.TrafficPolicy{Balancer: &mesh.LoadBalancer{Algorithm: a}}
	}
	pool := func(p mesh.ConnectionPool) mesh.TrafficPolicy { return mesh.TrafficPolicy{Pool: &p} }
	outliers := func(o mesh.OutlierDetection) mesh.TrafficPolicy { return mesh.TrafficPolicy{Outliers: &o} }
	user := &mesh.HashKey{Header: "x-user"}
	for text, tc := range map[string]struct {
		want    mesh.TrafficPolicy
		refused string // the path's end and what is said of it
		warned  string // the path's end
	}{
		"loadBalancer: {simple: ROUND_ROBIN}":                                                           {want: simple(mesh.RoundRobin)},
		"loadBalancer: {simple: RANDOM}":                                                                {want: simple(mesh.Random)},
		"loadBalancer: {simple: LEAST_CONN}":                                                            {want: simple(mesh.LeastRequest)},
		"loadBalancer: {simple: LEAST_REQUEST}":                                                         {want: simple(mesh.LeastRequest)},
		"loadBalancer: {simple: PASSTHROUGH}":                                                           {want: simple(mesh.LeastRequest), warned: "loadBalancer.simple: PASSTHROUGH"},
		"loadBalancer: {warmup: {duration: 1s}}":                                                        {want: simple(mesh.LeastRequest), warned: "loadBalancer.warmup"},
		"loadBalancer: {warmupDurationSecs: 1s}":                                                        {want: simple(mesh.LeastRequest), warned: "loadBalancer.warmupDurationSecs"},
		"loadBalancer: {localityLbSetting: {enabled: true}}":                                            {want: simple(mesh.LeastRequest), warned: "loadBalancer.localityLbSetting"},
		"loadBalancer: {consistentHash: {httpHeaderName: x-user}}":                                      {want: hash(0, user)},
		"loadBalancer: {consistentHash: {httpHeaderName: ':path'}}":                                     {want: hash(0, &mesh.HashKey{Header: ":path"})},
		"loadBalancer: {consistentHash: {httpHeaderName: x-user, minimumRingSize: 9}}":                  {want: hash(9, user)},
		"loadBalancer: {consistentHash: {httpHeaderName: x-user, ringHash: {}}}":                        {want: hash(0, user)},
		"loadBalancer: {consistentHash: {ringHash: {minimumRingSize: 9}}}":                              {want: hash(9, nil)},
		"loadBalancer: {consistentHash: {httpQueryParameterName: user}}":                                {want: hash(0, &mesh.HashKey{Query: "user"})},
		"loadBalancer: {consistentHash: {useSourceIp: true}}":                                           {want: hash(0, &mesh.HashKey{SourceIP: true})},
		"loadBalancer: {consistentHash: {httpCookie: {name: c}}}":                                       {want: hash(0, &mesh.HashKey{Cookie: &mesh.HashCookie{Name: "c"}})},
		"loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 0s, path: /p}}}":                    {want: hash(0, &mesh.HashKey{Cookie: &mesh.HashCookie{Name: "c", Path: "/p", TTL: duration(0)}})},
		"loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 7}}}":                   {want: mesh.TrafficPolicy{Balancer: &mesh.LoadBalancer{Algorithm: mesh.Maglev, Size: 7, Hash: &mesh.HashKey{SourceIP: true}}}},
		"loadBalancer: {consistentHash: {useSourceIp: false}}":                                          {refused: "consistentHash.useSourceIp: must be true"},
		"loadBalancer: {consistentHash: {httpHeaderName: ''}}":                                          {refused: "consistentHash.httpHeaderName: is no name"},
		`loadBalancer: {consistentHash: {httpHeaderName: "a\r\nb"}}`:                                    {refused: "consistentHash.httpHeaderName: is no name"},
		"loadBalancer: {consistentHash: {httpQueryParameterName: ''}}":                                  {refused: "httpQueryParameterName: must have"},
		"loadBalancer: {consistentHash: {httpCookie: {name: ''}}}":                                      {refused: "httpCookie.name: is no name"},
		"loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: -1s}}}":                             {refused: "httpCookie.ttl: must be from"},
		"loadBalancer: {consistentHash: {httpCookie: {name: c, path: '/;Domain=x'}}}":                   {refused: "httpCookie.path: must be printable"},
		"loadBalancer: {consistentHash: {httpCookie: {name: c, attributes: [{name: 'a=b'}]}}}":          {refused: "attributes[0].name: is no name"},
		"loadBalancer: {consistentHash: {httpCookie: {name: c, attributes: [{name: a, value: 'b;'}]}}}": {refused: "attributes[0].value: must be printable"},
		"loadBalancer: {consistentHash: {httpCookie: {name: c, attributes: [{name: a}, {name: a}]}}}":   {refused: "attributes[1].name: is there twice"},
		"loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 8}}}":                   {refused: "maglev.tableSize: must be a prime"},
		"loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 5000077}}}":             {refused: "maglev.tableSize: must be a prime"},
		"loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 8388609}}}":     {refused: "minimumRingSize: must be at most"},
		"loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 8388609}}":                 {refused: "minimumRingSize: must be at most"},
		"loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 9, ringHash: {}}}":         {refused: "minimumRingSize: must not stand beside"},
		"connectionPool: {tcp: {maxConnections: 1, connectTimeout: 2s, idleTimeout: 3s}}":               {want: pool(mesh.ConnectionPool{MaxConnections: 1, ConnectTimeout: 2 * time.Second, IdleTimeout: duration(3 * time.Second)})},
		"connectionPool: {tcp: {idleTimeout: 3s}, http: {idleTimeout: 4s}}":                             {want: pool(mesh.ConnectionPool{IdleTimeout: duration(4 * time.Second)})},
		"connectionPool: {tcp: {tcpKeepalive: {probes: 1, time: 2.5s, interval: 3s}}}":                  {want: pool(mesh.ConnectionPool{Keepalive: &mesh.Keepalive{Probes: 1, Time: 2 * time.Second, Interval: 3 * time.Second}})},
		"connectionPool: {tcp: {maxConnectionDuration: 3600s}}":                                         {want: pool(mesh.ConnectionPool{MaxAge: time.Hour})},
		"connectionPool: {http: {http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRetries: 3}}":      {want: pool(mesh.ConnectionPool{MaxPending: 1, MaxRequests: 2, MaxRetries: 3})},
		"connectionPool: {http: {maxRequestsPerConnection: 1, maxConcurrentStreams: 2}}":                {want: pool(mesh.ConnectionPool{RequestsPerConnection: 1, StreamsPerConnection: 2})},
		"connectionPool: {http: {h2UpgradePolicy: UPGRADE}}":                                            {want: pool(mesh.ConnectionPool{HTTP2: true})},
		"connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE, useClientProtocol: true}}":            {want: pool(mesh.ConnectionPool{ClientProtocol: true})},
		"connectionPool: {http: {http2KeepAlive: {interval: 1s, timeout: 2s}}}":                         {want: pool(mesh.ConnectionPool{Ping: &mesh.Ping{Interval: time.Second, Timeout: 2 * time.Second}})},
		"connectionPool: {http: {http2KeepAlive: {interval: 1s}}}":                                      {refused: "http2KeepAlive: interval and timeout"},
		"connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}":                   {refused: "useClientProtocol: must not stand beside"},
		"connectionPool: {http: {maxRetries: -1}}":                                                      {refused: "http.maxRetries: must not be negative"},
		"connectionPool: {http: {idleTimeout: 0s}}":                                                     {refused: "http.idleTimeout: must be from 1ms"},
		"connectionPool: {tcp: {maxConnectionDuration: 0s}}":                                            {refused: "tcp.maxConnectionDuration: must be from 1ms"},
		"connectionPool: {tcp: {connectTimeout: 0s}}":                                                   {refused: "tcp.connectTimeout: must be from 1ms"},
		"connectionPool: {tcp: {connectTimeout: 315360001s}}":                                           {refused: "tcp.connectTimeout: must be from 1ms"},
		"connectionPool: {tcp: {tcpKeepalive: {time: 0.5s}}}":                                           {refused: "tcpKeepalive.time: must be from 1s"},
		"connectionPool: {tcp: {tcpKeepalive: {interval: 32768s}}}":                                     {refused: "tcpKeepalive.interval: must be at most"},
		"connectionPool: {tcp: {tcpKeepalive: {probes: 128}}}":                                          {refused: "tcpKeepalive.probes: must be at most 127"},
		"outlierDetection: {}": {want: outliers(mesh.OutlierDetection{})},
		"outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 2}":                           {want: outliers(mesh.OutlierDetection{Errors: number(0), GatewayErrors: number(2)})},
		"outlierDetection: {splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3}":        {want: outliers(mesh.OutlierDetection{SplitLocal: true, LocalFailures: number(3)})},
		"outlierDetection: {interval: 1s, baseEjectionTime: 2s, maxEjectionPercent: 3, minHealthPercent: 4}": {want: outliers(mesh.OutlierDetection{Interval: time.Second, BaseEjection: 2 * time.Second, MaxEjected: 3, MinHealthy: 4})},
		"outlierDetection: {consecutiveErrors: 3}":                                                           {want: outliers(mesh.OutlierDetection{}), warned: "outlierDetection.consecutiveErrors"},
		"outlierDetection: {outlierDetectionHttpErrorCodes: [429]}":                                          {want: outliers(mesh.OutlierDetection{}), warned: "outlierDetection.outlierDetectionHttpErrorCodes"},
		"outlierDetection: {consecutiveLocalOriginFailures: 3}":                                              {refused: "consecutiveLocalOriginFailures: needs splitExternalLocalOriginErrors"},
		"outlierDetection: {interval: 0s}":                                                                   {refused: "outlierDetection.interval: must be from 1ms"},
		"outlierDetection: {baseEjectionTime: -1s}":                                                          {refused: "outlierDetection.baseEjectionTime: must be from 1ms"},
		"outlierDetection: {maxEjectionPercent: 101}":                                                        {refused: "maxEjectionPercent: must be from 0 to 100"},
		"outlierDetection: {minHealthPercent: -1}":                                                           {refused: "minHealthPercent: must not be negative"},
		"retryBudget: {minRetryConcurrency: 1}":                                                              {warned: "retryBudget"},
	} {
		t.Run(text, func(t *testing.T) {
			for _, where := range []struct{ text, path string }{
				{"trafficPolicy: {" + text + "}", "spec.trafficPolicy."},
				{"trafficPolicy: {portLevelSettings: [{port: {number: 80}, " + text + "}]}", "spec.trafficPolicy.portLevelSettings[0]."},
			} {
				if strings.HasPrefix(text, "retryBudget") && strings.Contains(where.text, "portLevel") {
					continue // it has none
				}
				m, statuses := model(t, rule("r", "1", where.text))
				if d := cmp.Diff(tc.want, m.Service("a.t.svc.cluster.local").Toward("", 80)); d != "" {
					t.Errorf("%s (-want +got)\n%s", where.path, d)
				}
				st := statuses["DestinationRule/r"]
				if st.Accepted != (tc.refused == "") || !st.Accepted && (st.Reason != "Invalid" || !strings.HasPrefix(st.Message, where.path) || !strings.Contains(st.Message, tc.refused)) {
					t.Errorf("status %+v, want %q", st, tc.refused)
				}
				var want []string
				if tc.warned != "" {
					want = []string{where.path + tc.warned + " has no effect yet"}
				}
				if !slices.Equal(st.Warnings, want) {
					t.Errorf("warnings %q, want %q", st.Warnings, want)
				}
			}
		})
	}
}

// TestTrafficPolicyMerged holds which policy of several counts, part by part, for ports
// 80 and 81 and for those of the subset. The numbers are of connections (pool), of errors
// (outliers), and of the ring (balancer); 0 stands for no such part.
func TestTrafficPolicyMerged(t *testing.T) {
	one := func(kind string, n int) string {
		return fmt.Sprintf(map[string]string{
			"pool":     "connectionPool: {tcp: {maxConnections: %d}}",
			"outliers": "outlierDetection: {consecutive5xxErrors: %d}",
			"balancer": "loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: %d}}}",
		}[kind], n)
	}
	all := func(n int) string {
		var out []string
		for _, k := range []string{"pool", "outliers", "balancer"} {
			out = append(out, one(k, n))
		}
		return strings.Join(out, ", ")
	}
	port := func(n int, text string) string { return fmt.Sprintf("{port: {number: %d}, %s}", n, text) }
	type parts [3]int // pool, outliers, balancer
	for name, tc := range map[string]struct {
		text                     string
		http, admin, v1, v1Admin parts
	}{
		"rule alone":             {rule("r", "1", "trafficPolicy: {"+all(1)+"}, subsets: [{name: v1}]"), parts{1, 1, 1}, parts{1, 1, 1}, parts{1, 1, 1}, parts{1, 1, 1}},
		"subset's part":          {rule("r", "1", "trafficPolicy: {"+all(1)+"}, subsets: [{name: v1, trafficPolicy: {"+one("outliers", 2)+"}}]"), parts{1, 1, 1}, parts{1, 1, 1}, parts{1, 2, 1}, parts{1, 2, 1}},
		"port's part":            {rule("r", "1", "trafficPolicy: {"+all(1)+", portLevelSettings: ["+port(81, one("pool", 2))+"]}, subsets: [{name: v1}]"), parts{1, 1, 1}, parts{2, 0, 0}, parts{1, 1, 1}, parts{2, 0, 0}},
		"subset's over port's":   {rule("r", "1", "trafficPolicy: {"+all(1)+", portLevelSettings: ["+port(81, all(2))+"]}, subsets: [{name: v1, trafficPolicy: {"+one("balancer", 3)+"}}]"), parts{1, 1, 1}, parts{2, 2, 2}, parts{1, 1, 3}, parts{2, 2, 3}},
		"subset's port's":        {rule("r", "1", "trafficPolicy: {"+all(1)+"}, subsets: [{name: v1, trafficPolicy: {"+one("pool", 2)+", portLevelSettings: ["+port(81, one("balancer", 3))+"]}}]"), parts{1, 1, 1}, parts{1, 1, 1}, parts{2, 1, 1}, parts{0, 0, 3}},
		"subset's port's of two": {rule("r", "1", "trafficPolicy: {portLevelSettings: ["+port(81, all(1))+"]}, subsets: [{name: v1, trafficPolicy: {portLevelSettings: ["+port(81, one("pool", 2))+"]}}]"), parts{}, parts{1, 1, 1}, parts{}, parts{2, 0, 0}},
		"older rule":             {rule("r", "2", "trafficPolicy: {"+all(1)+"}") + rule("s", "1", "trafficPolicy: {"+one("pool", 2)+"}, subsets: [{name: v1}]"), parts{2, 0, 0}, parts{2, 0, 0}, parts{2, 0, 0}, parts{2, 0, 0}},
		"another rule's subset":  {rule("r", "2", "trafficPolicy: {"+all(1)+"}") + rule("s", "1", "subsets: [{name: v1, trafficPolicy: {"+one("pool", 2)+"}}]"), parts{1, 1, 1}, parts{1, 1, 1}, parts{2, 1, 1}, parts{2, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := model(t, tc.text)
			s := m.Service("a.t.svc.cluster.local")
			show := func(p mesh.TrafficPolicy) (out parts) {
				if p.Pool != nil {
					out[0] = int(p.Pool.MaxConnections)
				}
				if p.Outliers != nil {
					out[1] = int(*p.Outliers.Errors)
				}
				if p.Balancer != nil {
					out[2] = int(p.Balancer.Size)
				}
				return out
			}
			got := [4]parts{show(s.Toward("", 80)), show(s.Toward("", 81)), show(s.Toward("v1", 80)), show(s.Toward("v1", 81))}
			if want := [4]parts{tc.http, tc.admin, tc.v1, tc.v1Admin}; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
