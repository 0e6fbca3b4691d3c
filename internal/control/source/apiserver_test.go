package source_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/usher-mesh/usher/internal/control/api"
	"github.com/usher-mesh/usher/internal/control/apiserver"
	"github.com/usher-mesh/usher/internal/control/source"
)

// TestAPIServer watches the real API server with the control plane's own
// credential: every kind can be read, and a change arrives.
func TestAPIServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := apiserver.Start(ctx, apiserver.Options{
		EtcdDir: filepath.Join(dir, "etcd"), SocketDir: filepath.Join(dir, "s"), PKIDir: filepath.Join(dir, "pki"),
		Listener: l, CRDs: api.CRDs(), Validate: api.Validate, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := make(chan *source.Snapshot, 100)
	watching, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- source.Run(watching, s.ControlPlaneConfig(), source.Options{Log: slog.Default()}, func(s *source.Snapshot) { got <- s })
	}()
	next := func() *source.Snapshot {
		t.Helper()
		select {
		case s := <-got:
			return s
		case <-ctx.Done():
			t.Fatal("no snapshot")
			return nil
		}
	}
	if first := next(); len(first.Namespaces) < 2 {
		t.Errorf("%d namespaces", len(first.Namespaces))
	}
	admin, err := dynamic.NewForConfig(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.Resource(schema.GroupVersionResource{Group: "authentication.istio.io", Version: "v1alpha1", Resource: "policies"}).
		Namespace("default").Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.istio.io/v1alpha1", "kind": "Policy",
		"metadata": map[string]any{"name": "p"},
		"spec":     map[string]any{"targets": []any{map[string]any{"name": "a"}}, "peers": []any{map[string]any{"mtls": nil}}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	written := time.Now()
	for {
		if s := next(); len(s.Policies) == 1 {
			if p := s.Policies[0]; p.Spec.Peers[0].MTLS == nil || p.Spec.Targets[0].Name != "a" {
				t.Errorf("the policy is %+v", p.Spec)
			}
			break
		}
	}
	t.Logf("in a snapshot %v after the answer to the write", time.Since(written))
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
