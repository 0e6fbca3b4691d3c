package xdsgen_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path/filepath"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/usher-mesh/usher/internal/control/translate"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/filter/fault"
	"github.com/usher-mesh/usher/internal/proxy/filter/grpcstats"
	"github.com/usher-mesh/usher/internal/proxy/filter/jwtauthn"
	"github.com/usher-mesh/usher/internal/proxy/filter/rbac"
	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// TestUsherProxy has the compilers of usher-proxy judge what the goldens' objects
// make.
func TestUsherProxy(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	factories := []filter.Factory{fault.Factory(nil), jwtauthn.Factory(jwtauthn.Options{Fetch: noKeys{}}), rbac.Factory(nil),
		grpcstats.Factory(func(string) *upstream.Cluster { return nil })}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			a, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			model, _ := translate.New().Translate(snapshotOf(t, 1, file(a, "objects.yaml")))
			set := xdsgen.New(options).Generate(model, proxy(t, file(a, "proxy.json")))
			clusters := map[string]*upstream.Cluster{}
			for name, r := range set.ByType[xdsgen.ClusterType] {
				c, err := upstream.Compile(message(t, r).(*clusterv3.Cluster), upstream.Options{Secrets: noSecrets{}})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				t.Cleanup(c.Close)
				clusters[name] = c
			}
			for name, r := range set.ByType[xdsgen.EndpointType] {
				if c := clusters[name]; c == nil {
					t.Errorf("%s: endpoints of no cluster", name)
				} else if err := c.SetEndpoints(message(t, r).(*endpointv3.ClusterLoadAssignment)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for name, r := range set.ByType[xdsgen.RouteType] {
				if _, err := route.Compile(message(t, r).(*routev3.RouteConfiguration), factories); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for name, r := range set.ByType[xdsgen.ListenerType] {
				_, err := listener.Compile(message(t, r).(*listenerv3.Listener), listener.Options{
					Filters: factories, Secrets: noSecrets{}, Snapshot: func() *snapshot.Snapshot { return &snapshot.Snapshot{} },
					AccessLogs: &accesslog.Files{Stdout: &bytes.Buffer{}},
				})
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

type noKeys struct{}

func (noKeys) Want(jwtauthn.Source) {}
func (noKeys) Keys(context.Context, jwtauthn.Source, string) (*jose.KeySet, error) {
	return nil, errors.New("none")
}

type noSecrets struct{}

func (noSecrets) Certificate(string) (*tls.Certificate, error) { return nil, errors.New("none") }
func (noSecrets) Roots(string) (*x509.CertPool, error)         { return nil, errors.New("none") }
