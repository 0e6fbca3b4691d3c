package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/usher-mesh/usher/internal/control/apiserver/pki"
	"github.com/usher-mesh/usher/internal/control/apiserver/tokens"
)

func client(t *testing.T, c *rest.Config) kubernetes.Interface {
	t.Helper()
	k, err := kubernetes.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// get asks without client certificate, or with one, and with a token, or none.
func get(t *testing.T, s *Server, path, token string, certs ...tls.Certificate) (int, string) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.files.ServerCA)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func issue(t *testing.T, c kubernetes.Interface, audiences ...string) string {
	t.Helper()
	seconds := int64(600)
	r, err := c.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "robot",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(r.Status.ExpirationTimestamp.Time); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("token expires in %v", left)
	}
	return r.Status.Token
}

func review(t *testing.T, c kubernetes.Interface, token string, audiences ...string) authenticationv1.TokenReviewStatus {
	t.Helper()
	r, err := c.AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Status
}

func makeRobot(t *testing.T, c kubernetes.Interface) {
	t.Helper()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot", Namespace: "default"}}
	if _, err := c.CoreV1().ServiceAccounts("default").Create(t.Context(), sa, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestAccess(t *testing.T) {
	s := startServer(t, testOptions(t, home(t)))
	admin, plane := client(t, s.AdminConfig()), client(t, s.ControlPlaneConfig())
	makeRobot(t, admin)

	t.Run("credentials", func(t *testing.T) {
		stranger, err := pki.Load(t.TempDir(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		other, err := tls.X509KeyPair(stranger.Admin.Cert, stranger.Admin.Key)
		if err != nil {
			t.Fatal(err)
		}
		serving, err := tls.X509KeyPair(s.files.Server.Cert, s.files.Server.Key)
		if err != nil {
			t.Fatal(err)
		}
		api := issue(t, admin, tokens.Issuer)
		for _, p := range publicPaths() {
			if code, _ := get(t, s, p, ""); code != 200 {
				t.Errorf("%s without a credential: %d", p, code)
			}
		}
		for _, p := range []string{"/", "/api", "/apis", "/api/v1/namespaces", "/openapi/v2", "/metrics", "/healthz/etcd", "/debug/pprof/", "/logs", "/apis/networking.istio.io/v1/widgets", "//api/v1/secrets", "/version/"} {
			for what, token := range map[string]string{"none": "", "word": "admin", "other audience": issue(t, admin, "istio-ca"), "spoiled": api[:len(api)-6] + "AAAAAA", "no signature": unsigned(api)} {
				if code, body := get(t, s, p, token); code != 401 {
					t.Errorf("%s with %s: %d %s", p, what, code, body)
				}
			}
			if code, _ := get(t, s, p, "", other); code != 401 {
				t.Errorf("%s with a certificate of another authority: %d", p, code)
			}
			if code, _ := get(t, s, p, "", serving); code != 401 {
				t.Errorf("%s with the server's own certificate: %d", p, code)
			}
		}
		for _, p := range []string{"/api/v1/namespaces", "/api/v1/namespaces/default/secrets", "/metrics", "/api"} {
			if code, _ := get(t, s, p, api); code != 403 {
				t.Errorf("%s with a service account's token: %d, want 403", p, code)
			}
		}
	})

	t.Run("tokens", func(t *testing.T) {
		token := issue(t, plane, "istio-ca")
		st := review(t, plane, token, "istio-ca", "other")
		if !st.Authenticated || st.User.Username != "system:serviceaccount:default:robot" || len(st.Audiences) != 1 || st.Audiences[0] != "istio-ca" {
			t.Errorf("review: %+v", st)
		}
		for what, st := range map[string]authenticationv1.TokenReviewStatus{
			"API audience":   review(t, plane, token),
			"other audience": review(t, plane, token, "other"),
			"spoiled":        review(t, plane, token+"x", "istio-ca"),
			"unsigned":       review(t, plane, unsigned(token), "istio-ca"),
			"word":           review(t, plane, "word", "istio-ca"),
		} {
			if st.Authenticated || st.Error == "" || strings.Contains(st.Error, "ey") {
				t.Errorf("%s: %+v", what, st)
			}
		}
		if err := admin.CoreV1().ServiceAccounts("default").Delete(t.Context(), "robot", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if st := review(t, plane, token, "istio-ca"); st.Authenticated {
			t.Error("good after its service account is gone")
		}
		makeRobot(t, admin)
		if st := review(t, plane, token, "istio-ca"); st.Authenticated {
			t.Error("good for a new service account of the same name")
		}
	})

	t.Run("control plane", func(t *testing.T) { testControlPlane(t, s, admin, plane) })
}

func unsigned(token string) string {
	parts := strings.Split(token, ".")
	return "eyJhbGciOiJub25lIn0." + parts[1] + "."
}

func testControlPlane(t *testing.T, s *Server, admin, plane kubernetes.Interface) {
	ctx := t.Context()
	dyn, err := dynamic.NewForConfig(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	restricted, err := dynamic.NewForConfig(s.ControlPlaneConfig())
	if err != nil {
		t.Fatal(err)
	}
	gvr := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "widgets"}
	w := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "Widget", "metadata": map[string]any{"name": "w"},
		"spec": map[string]any{"color": "blue"},
	}}
	if w, err = dyn.Resource(gvr).Namespace("default").Create(ctx, w, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_ = unstructured.SetNestedField(w.Object, "seen", "status", "state")
	svc := func(name string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	}
	for what, do := range map[string]func(context.Context) error{
		"list widgets": func(ctx context.Context) error {
			_, err := restricted.Resource(gvr).List(ctx, metav1.ListOptions{})
			return err
		},
		"write status": func(ctx context.Context) error {
			_, err := restricted.Resource(gvr).Namespace("default").UpdateStatus(ctx, w, metav1.UpdateOptions{})
			return err
		},
		"list secrets": func(ctx context.Context) error {
			_, err := plane.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
			return err
		},
		"create service": func(ctx context.Context) error {
			_, err := plane.CoreV1().Services("default").Create(ctx, svc("a"), metav1.CreateOptions{})
			return err
		},
		"discover": func(context.Context) error { _, _, err := plane.Discovery().ServerGroupsAndResources(); return err },
	} {
		if err := do(ctx); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, do := range map[string]func(context.Context) error{
		"create widget": func(ctx context.Context) error {
			_, err := restricted.Resource(gvr).Namespace("default").Create(ctx, w, metav1.CreateOptions{})
			return err
		},
		"update widget": func(ctx context.Context) error {
			_, err := restricted.Resource(gvr).Namespace("default").Update(ctx, w, metav1.UpdateOptions{})
			return err
		},
		"delete widget": func(ctx context.Context) error {
			return restricted.Resource(gvr).Namespace("default").Delete(ctx, "w", metav1.DeleteOptions{})
		},
		"delete secret": func(ctx context.Context) error {
			return plane.CoreV1().Secrets("default").Delete(ctx, "s", metav1.DeleteOptions{})
		},
		"delete namespace": func(ctx context.Context) error {
			return plane.CoreV1().Namespaces().Delete(ctx, "istio-system", metav1.DeleteOptions{})
		},
		"list events": func(ctx context.Context) error {
			_, err := plane.CoreV1().Events("").List(ctx, metav1.ListOptions{})
			return err
		},
		"write configmap": func(ctx context.Context) error {
			_, err := plane.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{})
			return err
		},
		"metrics": func(ctx context.Context) error {
			return plane.Discovery().RESTClient().Get().AbsPath("/metrics").Do(ctx).Error()
		},
		"CRDs": func(ctx context.Context) error {
			return plane.Discovery().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").Do(ctx).Error()
		},
	} {
		if err := do(ctx); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want forbidden", what, err)
		}
	}
	impersonate := s.ControlPlaneConfig()
	impersonate.Impersonate.UserName, impersonate.Impersonate.Groups = "x", []string{"system:masters"}
	if _, err := client(t, impersonate).CoreV1().Namespaces().List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("impersonation: %v", err)
	}
}

func TestClusterAddresses(t *testing.T) {
	dir := home(t)
	s := startServer(t, testOptions(t, dir))
	c := client(t, s.AdminConfig()).CoreV1().Services("default")
	ctx := t.Context()
	make := func(name, ip string) (*corev1.Service, error) {
		return c.Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})
	}
	a, err := make("a", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := make("b", a.Spec.ClusterIP); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "already allocated to default/a") {
		t.Errorf("taken address: %v", err)
	}
	if _, err := make("b", "192.0.2.1"); !apierrors.IsInvalid(err) {
		t.Errorf("address out of range: %v", err)
	}
	if _, err := make("Bad", "10.97.0.7"); !apierrors.IsInvalid(err) {
		t.Errorf("bad name: %v", err)
	}
	if _, err := make("b", "10.97.0.7"); err != nil {
		t.Errorf("an address that a refused service asked for: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, testOptions(t, dir))
	c = client(t, s.AdminConfig()).CoreV1().Services("default")
	if got, err := c.Get(ctx, "a", metav1.GetOptions{}); err != nil || got.Spec.ClusterIP != a.Spec.ClusterIP {
		t.Errorf("after a restart: %v %v", got, err)
	}
	if _, err := make("d", "10.97.0.7"); !apierrors.IsInvalid(err) {
		t.Errorf("address taken before the restart: %v", err)
	}
	if err := c.Delete(ctx, "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := make("d", "10.97.0.7"); err != nil {
		t.Errorf("address that is free again: %v", err)
	}
}
