package app

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/structpb"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/internal/control/api"
	"github.com/usher-mesh/usher/internal/control/apiserver"
	"github.com/usher-mesh/usher/internal/control/ca"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/identity"
)

const (
	controlPlane = "spiffe://cluster.local/ns/istio-system/sa/istiod"
	patience     = 20 * time.Second
)

var (
	entries  = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "workloadentries"}
	requests = schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "requestauthentications"}
)

// world is a control plane on a real API server.
type world struct {
	t         *testing.T
	dir       string
	kube      kubernetes.Interface
	objects   dynamic.Interface
	xds, ca   string
	debug     string
	stop      context.CancelFunc
	ran       chan error
	authority []byte
	cfg       *rest.Config // the control plane's
}

func startWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "usher") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{"run", "mesh"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	server, err := apiserver.Start(ctx, apiserver.Options{
		EtcdDir: filepath.Join(dir, "etcd"), SocketDir: filepath.Join(dir, "run"), PKIDir: filepath.Join(dir, "pki"),
		Listener: listen(t), CRDs: api.CRDs(), Validate: api.Validate, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("API server: %v", err)
		}
	})
	w := &world{t: t, dir: dir, debug: filepath.Join(dir, "run", "debug.sock"), ran: make(chan error, 1), cfg: server.ControlPlaneConfig()}
	if w.kube, err = kubernetes.NewForConfig(server.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	if w.objects, err = dynamic.NewForConfig(server.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	o := Options{
		Config: server.ControlPlaneConfig(), PKIDir: filepath.Join(dir, "mesh"),
		IssuerDir: filepath.Join(dir, "issuer"), JWKSDir: filepath.Join(dir, "jwks"),
		XDS: listen(t), CA: listen(t), Mirror: listen(t), Issuer: listen(t), DebugSocket: w.debug,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	ready := make(chan struct{})
	o.Ready = func() { close(ready) }
	w.xds, w.ca = o.XDS.Addr().String(), o.CA.Addr().String()
	runCtx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.ran <- Run(runCtx, o) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-w.ran:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not end")
		}
	})
	select {
	case <-ready:
	case err := <-w.ran:
		t.Fatalf("Run: %v", err)
	case <-ctx.Done():
		t.Fatal("not ready")
	}
	authority, err := ca.Open(o.PKIDir, ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.authority = authority.RootPEM()
	return w
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func (w *world) create(gvr schema.GroupVersionResource, namespace, text string) {
	w.t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.objects.Resource(gvr).Namespace(namespace).Create(w.t.Context(), u, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// workload makes the namespace, account and entry of customer-v1, and gives its
// identity, got from the CA by a token of the given audience.
func (w *world) workload(audience string) *identity.Rotating {
	w.t.Helper()
	ctx := w.t.Context()
	if _, err := w.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tutorial"}}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.kube.CoreV1().ServiceAccounts("tutorial").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "customer"}}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.create(entries, "tutorial", `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: customer-v1, labels: {app: customer}}
spec: {address: 127.1.2.3, serviceAccount: customer, ports: {http: 8080}}`)
	return w.identity(audience)
}

// token is a token of customer's service account, of the API itself if audience
// is empty.
func (w *world) token(audience string) string {
	w.t.Helper()
	var audiences []string
	if audience != "" {
		audiences = []string{audience}
	}
	tr, err := w.kube.CoreV1().ServiceAccounts("tutorial").CreateToken(w.t.Context(), "customer",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return tr.Status.Token
}

func (w *world) identity(audience string) *identity.Rotating {
	w.t.Helper()
	token, root := filepath.Join(w.dir, "token-"+audience), filepath.Join(w.dir, "root.pem")
	for path, data := range map[string]string{token: w.token(audience), root: string(w.authority)} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	r, err := identity.NewRotating(identity.RotatingOptions{CAAddr: w.ca, TokenFile: token, RootFile: root, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx) // nil: ctx ended
	}()
	w.t.Cleanup(func() { cancel(); <-done })
	return r
}

// connect is a proxy that acknowledges everything, until its stream ends.
func (w *world) connect(src identity.Source, name string) <-chan error {
	w.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+w.xds, grpc.WithTransportCredentials(credentials.NewTLS(identity.ClientTLS(src, []string{controlPlane}))))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	w.t.Cleanup(func() { cancel(); conn.Close() })
	s, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	metadata, err := structpb.NewStruct(map[string]any{"USHER": map[string]any{"inbound": []any{map[string]any{
		"name": "http", "protocol": "http", "port": 8080, "listen": "127.1.2.3:8080", "app": "127.0.0.1:34567",
	}}}})
	if err != nil {
		w.t.Fatal(err)
	}
	node := &corev3.Node{Id: "sidecar~127.1.2.3~" + name + ".tutorial~tutorial.svc.cluster.local", UserAgentName: "usher-proxy", Metadata: metadata}
	for _, u := range []string{xdsgen.ClusterType, xdsgen.ListenerType} {
		if err := s.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: u}); err != nil {
			w.t.Fatal(err)
		}
	}
	go func() {
		for {
			m, err := s.Recv()
			if err == nil {
				err = s.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: m.TypeUrl, ResponseNonce: m.Nonce})
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

// condition waits until the object has a condition with that status and reason,
// of its current generation, and gives its message.
func (w *world) condition(gvr schema.GroupVersionResource, name, kind, want, reason string) string {
	w.t.Helper()
	return w.await(gvr, name, kind, func(c map[string]any) bool { return c["status"] == want && c["reason"] == reason })
}

// says waits until a condition's message has this text in it, and gives it all.
func (w *world) says(gvr schema.GroupVersionResource, name, kind, text string) string {
	w.t.Helper()
	return w.await(gvr, name, kind, func(c map[string]any) bool { return strings.Contains(c["message"].(string), text) })
}

// await waits until a condition of the object's current generation is as wanted.
func (w *world) await(gvr schema.GroupVersionResource, name, kind string, ok func(map[string]any) bool) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	watch, err := w.objects.Resource(gvr).Namespace("tutorial").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		w.t.Fatal(err)
	}
	defer watch.Stop()
	var last any
	for e := range watch.ResultChan() {
		u, is := e.Object.(*unstructured.Unstructured)
		if !is {
			continue
		}
		list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		last = list
		for _, c := range list {
			m := c.(map[string]any)
			if m["type"] == kind && m["observedGeneration"] == u.GetGeneration() && ok(m) {
				return m["message"].(string)
			}
		}
	}
	w.t.Fatalf("%s of %s did not become what is wanted: %v", kind, name, last)
	return ""
}

const requestAuthentication = `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: APP}}
  jwtRules:
  - {issuer: someone, jwks: '{"keys":[KEY,{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA","alg":"HS256"}]}'}`

// publicKey is that of RFC 7517, appendix A.1, with a private half that everybody
// can read there.
const publicKey = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`

func object(name, app string) string {
	return strings.NewReplacer("NAME", name, "APP", app, "KEY", publicKey).Replace(requestAuthentication)
}
