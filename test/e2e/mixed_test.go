package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
	"github.com/usher-mesh/usher/test/harness"
)

const mixedSecret = `
apiVersion: v1
kind: Secret
metadata: {name: mixed, namespace: istio-system}
type: kubernetes.io/tls
stringData: {tls.crt: %q, tls.key: %q}
`

// mixedObjects publish the chapter's application and a gRPC service over TLS too. The
// answers' x-round and the denied path are what changes.
const mixedObjects = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: mixed, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: mixed}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mixed, namespace: istio-system}
spec:
  hosts: ["*"]
  gateways: [mixed]
  http:
  - headers: {response: {set: {x-round: "0"}}}
    match: [{uri: {prefix: /customer}}]
    rewrite: {uri: /}
    route: [{destination: {host: customer.tutorial.svc.cluster.local, port: {number: 8080}}}]
  - match: [{uri: {prefix: /grpc.testing.TestService/}}]
    route: [{destination: {host: greeter.tutorial.svc.cluster.local, port: {number: 8080}}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: mixed, namespace: tutorial}
spec:
  action: DENY
  rules: [{to: [{operation: {paths: [/never-0]}}]}]
`

// mixedTime is how long the load lasts: $USHER_MIXED, such as 30m, if that is set (with
// `go test -timeout` above it).
func mixedTime(t *testing.T) time.Duration {
	if s := os.Getenv("USHER_MIXED"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal("USHER_MIXED: ", err)
		}
		return d
	}
	return time.Duration(harness.Count(t, "seconds of mixed load", 10, 420)) * time.Second
}

// TestMixedLoad has HTTP/1.1, HTTP/2 and gRPC, in clear and over TLS, with clients that
// go away in the midst of it, run through a gateway and sidecars while configuration is
// pushed each second. Every request that is not broken off gets its right answer, each
// configuration comes into force, and no proxy's memory, goroutines or files grow.
func TestMixedLoad(t *testing.T) {
	length := mixedTime(t)
	m := harness.Up(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m.Usher("run", "-n", "tutorial", "--service", "greeter", "--protocol", "grpc", "--detach", "--", "env", serveGRPC+"=1", self)
	cert, key, roots := localCertificate(t)
	if out, err := m.TryKubectl(fmt.Sprintf(mixedSecret, cert, key), "apply", "-f", "-"); err != nil {
		t.Fatal(out)
	}
	m.Apply(mixedObjects)
	createAndAwait(m, "enduser-authentication-jwt.yml")
	l := &mixedLoad{T: t, m: m, token: mint(m), raced: harness.Raced(t), tls: &tls.Config{RootCAs: roots, ServerName: "localhost"}, counts: map[string]*atomic.Int64{}}
	l.secure = m.Status()["istio-system/istio-ingressgateway"].Gateway["443"]
	if l.secure == "" {
		t.Fatalf("no port 443 of the gateway: %+v", m.Status())
	}
	harness.Eventually(t, 20*time.Second, "all of it is in force", func() (bool, any) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := errors.Join(l.get(ctx, l.h2(), "https://"+l.secure), l.unary(ctx, l.dialGRPC()))
		return err == nil, err
	})

	before := l.sample()
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var wg sync.WaitGroup
	for name, one := range l.clients() {
		l.counts[name] = new(atomic.Int64)
		wg.Go(func() {
			// Nothing else slows down those that do not wait for an answer.
			pace := time.NewTicker(50 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-pace.C:
				case <-ctx.Done():
					return
				}
				// What has begun may end after the time is over.
				if err := one(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				l.counts[name].Add(1)
			}
		})
	}
	var samples []map[string]usage
	pushed := 0
	for tick := time.NewTicker(time.Second); ctx.Err() == nil; {
		select {
		case <-tick.C:
			pushed++
			l.push(pushed)
			if pushed%5 == 0 {
				samples = append(samples, l.sample())
			}
		case <-ctx.Done():
		}
	}
	wg.Wait()
	for name, n := range l.counts {
		t.Logf("%s: %d", name, n.Load())
		if n.Load() == 0 {
			t.Errorf("%s: none", name)
		}
	}
	seen := 0
	l.rounds.Range(func(any, any) bool { seen++; return true })
	t.Logf("%d configurations pushed, %d of them seen in answers", pushed, seen)
	if seen < pushed*8/10 {
		t.Error("configurations did not come into force within a second or so")
	}
	l.flat(before, samples)
}

// mixedLoad is the load of one mesh.
type mixedLoad struct {
	*testing.T
	m             *harness.Mesh
	token, secure string // secure: address of the gateway's TLS port
	tls           *tls.Config
	raced         bool // the proxies have the race detector
	counts        map[string]*atomic.Int64
	rounds        sync.Map // values of x-round
}

// clients each do one thing; what they break off themselves is no error.
func (l *mixedLoad) clients() map[string]func(context.Context) error {
	clear, secure := "http://"+l.m.GatewayURL, "https://"+l.secure
	h1, h1s, h2 := &http.Client{Transport: &http.Transport{}}, l.h1(), l.h2()
	cc := l.dialGRPC()
	l.Cleanup(func() { h1.CloseIdleConnections(); h1s.CloseIdleConnections(); h2.CloseIdleConnections(); cc.Close() })
	return map[string]func(context.Context) error{
		"HTTP/1.1":            func(ctx context.Context) error { return l.get(ctx, h1, clear) },
		"HTTP/1.1 over TLS":   func(ctx context.Context) error { return l.get(ctx, h1s, secure) },
		"HTTP/2":              func(ctx context.Context) error { return l.get(ctx, h2, secure) },
		"256 KiB over HTTP/2": func(ctx context.Context) error { return l.post(ctx, h2, secure) },
		"without a token":     func(ctx context.Context) error { return l.refused(ctx, h1, clear) },
		"TLS connections": func(ctx context.Context) error {
			c := l.h1()
			defer c.CloseIdleConnections()
			return l.get(ctx, c, secure)
		},
		"gRPC, unary":          func(ctx context.Context) error { return l.unary(ctx, cc) },
		"gRPC, duplex":         func(ctx context.Context) error { return l.duplex(ctx, cc, 50) },
		"gRPC, broken off":     func(ctx context.Context) error { return l.brokenStream(ctx, cc) },
		"HTTP/2, broken off":   func(ctx context.Context) error { return l.brokenRequest(ctx, h2, secure) },
		"HTTP/1.1, broken off": func(ctx context.Context) error { return l.reset(ctx) },
	}
}

func (l *mixedLoad) h1() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: l.tls.Clone(), TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}
}

func (l *mixedLoad) h2() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: l.tls.Clone(), ForceAttemptHTTP2: true}}
}

func (l *mixedLoad) dialGRPC() *grpc.ClientConn {
	cc, err := grpc.NewClient("passthrough:///"+l.secure, grpc.WithTransportCredentials(credentials.NewTLS(l.tls.Clone())))
	if err != nil {
		l.Fatal(err)
	}
	return cc
}

// ask gives status and content.
func (l *mixedLoad) ask(ctx context.Context, c *http.Client, method, url, token string, body io.Reader) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	if round := a.Header.Get("X-Round"); round != "" && round != "0" {
		l.rounds.Store(round, true)
	}
	text, err := io.ReadAll(a.Body)
	return a.StatusCode, string(text), err
}

func (l *mixedLoad) get(ctx context.Context, c *http.Client, at string) error {
	return right(l.ask(ctx, c, http.MethodGet, at+"/customer", l.token, nil))
}

func (l *mixedLoad) post(ctx context.Context, c *http.Client, at string) error {
	return right(l.ask(ctx, c, http.MethodPost, at+"/customer", l.token, bytes.NewReader(make([]byte, 256<<10))))
}

func right(status int, text string, err error) error {
	if err == nil && (status != http.StatusOK || !strings.HasPrefix(text, "customer => preference => recommendation")) {
		err = fmt.Errorf("%d %.200q", status, text)
	}
	return err
}

func (l *mixedLoad) refused(ctx context.Context, c *http.Client, at string) error {
	status, text, err := l.ask(ctx, c, http.MethodGet, at+"/customer", "", nil)
	if err == nil && status != http.StatusUnauthorized && status != http.StatusForbidden {
		err = fmt.Errorf("%d %.200q", status, text)
	}
	return err
}

func (l *mixedLoad) payload(size int) *testgrpc.Payload {
	return &testgrpc.Payload{Body: bytes.Repeat([]byte{byte(size)}, size)}
}

func (l *mixedLoad) unary(ctx context.Context, cc *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+l.token), 30*time.Second)
	defer cancel()
	p := l.payload(1000)
	a, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: p})
	if err == nil && !bytes.Equal(a.GetPayload().GetBody(), p.GetBody()) {
		err = errors.New("another payload")
	}
	return err
}

// duplex sends so many messages, each after the answer to the one before.
func (l *mixedLoad) duplex(ctx context.Context, cc *grpc.ClientConn, messages int) error {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+l.token), 60*time.Second)
	defer cancel()
	s, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for i := range messages {
		p := l.payload(i * 100)
		if err := s.Send(&testgrpc.StreamingOutputCallRequest{Payload: p}); err != nil {
			return err
		}
		a, err := s.Recv()
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if !bytes.Equal(a.GetPayload().GetBody(), p.GetBody()) {
			return fmt.Errorf("message %d: another payload", i)
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the end: %w", err)
	}
	return nil
}

func (l *mixedLoad) brokenStream(ctx context.Context, cc *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, rand.N(20*time.Millisecond))
	defer cancel()
	_ = l.duplex(ctx, cc, 1000)
	return nil
}

func (l *mixedLoad) brokenRequest(ctx context.Context, c *http.Client, at string) error {
	ctx, cancel := context.WithTimeout(ctx, rand.N(10*time.Millisecond))
	defer cancel()
	_ = l.post(ctx, c, at)
	return nil
}

// reset sends a part of a request and resets the connection.
func (l *mixedLoad) reset(context.Context) error {
	c, err := net.DialTimeout("tcp", l.m.GatewayURL, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	head := "POST /customer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + l.token + "\r\nContent-Length: 100000\r\n\r\n"
	all := head + strings.Repeat("x", 100_000)
	if _, err := io.WriteString(c, all[:rand.N(len(all))]); err == nil {
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	return nil
}

// push writes two objects: the gateway gets another route, the sidecars another policy.
func (l *mixedLoad) push(n int) {
	api, url := l.m.API()
	defer api.CloseIdleConnections()
	for path, patch := range map[string]string{
		"/apis/networking.istio.io/v1/namespaces/istio-system/virtualservices/mixed": fmt.Sprintf(
			`[{"op": "replace", "path": "/spec/http/0/headers/response/set/x-round", "value": "%d"}]`, n),
		"/apis/security.istio.io/v1/namespaces/tutorial/authorizationpolicies/mixed": fmt.Sprintf(
			`[{"op": "replace", "path": "/spec/rules/0/to/0/operation/paths/0", "value": "/never-%d"}]`, n),
	} {
		r, err := http.NewRequestWithContext(l.Context(), http.MethodPatch, url+path, strings.NewReader(patch))
		if err != nil {
			l.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json-patch+json")
		a, err := api.Do(r)
		if err != nil {
			l.Errorf("push %d: %v", n, err)
			continue
		}
		if text, _ := io.ReadAll(a.Body); a.StatusCode != http.StatusOK {
			l.Errorf("push %d: %d %s", n, a.StatusCode, text)
		}
		a.Body.Close()
	}
}

// usage is what a proxy holds; memory is in KiB.
type usage struct{ memory, goroutines, files int }

// sample reads it of all proxies, by workload.
func (l *mixedLoad) sample() map[string]usage {
	all := map[string]usage{}
	for name, w := range l.m.Status() {
		dir := home.Dir(l.m.Home).Workload(w.Namespace, w.Name)
		st, err := spec.ReadState(dir.State())
		if err != nil || st.ProxyPID == 0 {
			continue
		}
		described, err := spec.Read(dir.Spec())
		if err != nil {
			l.Fatalf("%s: %v", name, err)
		}
		var u usage
		if u.memory, err = l.memory(st.ProxyPID, described.AdminSocket); err != nil {
			l.Fatalf("%s: %v", name, err)
		}
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", st.ProxyPID))
		if err != nil {
			l.Fatalf("%s: %v", name, err)
		}
		u.files = len(files)
		if u.goroutines, err = goroutines(described.AdminSocket); err != nil {
			l.Fatalf("%s: %v", name, err)
		}
		all[name] = u
	}
	return all
}

// memory is what a proxy is resident with. The race detector keeps more the longer a program
// runs, which is not the program's: with it, it is what the heap holds.
func (l *mixedLoad) memory(pid int, admin string) (kib int, err error) {
	if l.raced {
		var m struct {
			Size     int `json:"heap_size,string"`
			Unmapped int `json:"pageheap_unmapped,string"`
		}
		err := ask(admin, "/memory", func(r io.Reader) error { return json.NewDecoder(r).Decode(&m) })
		return (m.Size - m.Unmapped) >> 10, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, resident, _ := strings.Cut(string(status), "VmRSS:")
	_, err = fmt.Sscan(resident, &kib)
	return kib, err
}

func goroutines(admin string) (n int, err error) {
	return n, ask(admin, "/debug/pprof/goroutine?debug=1", func(r io.Reader) error {
		_, err := fmt.Fscanf(r, "goroutine profile: total %d", &n)
		return err
	})
}

// ask asks the admin interface at a Unix socket.
func ask(admin, path string, read func(io.Reader) error) error {
	c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", admin)
		}}}
	a, err := c.Get("http://localhost" + path)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if err := read(a.Body); err != nil {
		return fmt.Errorf("%s: %s: %w", path, a.Status, err)
	}
	return nil
}

// flat compares the last third with the third before, and what is left afterwards with
// what there was before the load.
func (l *mixedLoad) flat(before map[string]usage, samples []map[string]usage) {
	for name := range before {
		mean := func(s []map[string]usage) (u usage) {
			for _, m := range s {
				u.memory, u.goroutines, u.files = u.memory+m[name].memory, u.goroutines+m[name].goroutines, u.files+m[name].files
			}
			n := max(1, len(s))
			return usage{u.memory / n, u.goroutines / n, u.files / n}
		}
		third := len(samples) / 3
		middle, last := mean(samples[third:2*third]), mean(samples[2*third:])
		l.Logf("%s: before %+v, middle third %+v, last third %+v", name, before[name], middle, last)
		if third < 10 {
			continue // nothing is warm yet
		}
		if last.memory > middle.memory*115/100+4<<10 || last.goroutines > middle.goroutines*13/10+50 || last.files > middle.files*13/10+50 {
			l.Errorf("%s grows", name)
		}
	}
	harness.Eventually(l, 30*time.Second, "the goroutines of the load end", func() (bool, any) {
		after := l.sample()
		for name, b := range before {
			if a := after[name]; a.goroutines > b.goroutines+150 { // files: idle connections to upstreams stay
				return false, fmt.Sprintf("%s: before %+v, now %+v", name, b, a)
			}
		}
		return true, nil
	})
}

// localCertificate is one for localhost, in PEM, with what verifies it.
func localCertificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	ca := harness.ForeignCA(t)
	parent, err := x509.ParseCertificate(ca.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	c := harness.IssueServer(t, ca, "localhost")
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(parent)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), roots
}
