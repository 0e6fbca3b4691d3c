package app

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/metrics"
	"github.com/usher-mesh/usher/internal/version"
)

// identity makes the proxy's own, if the bootstrap says where from.
func (p *proxy) identity() error {
	l := p.local
	if l.CA == "" {
		return nil
	}
	own, err := identity.NewRotating(identity.RotatingOptions{
		CAAddr: l.CA, TokenFile: l.TokenFile, RootFile: l.RootFile, CacheDir: l.CacheDir,
		Trust: l.Trust, ID: l.Identity, Log: p.loggers.of(logSecret),
	})
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	own.OnChange(func() {
		p.store.RecycleOwn()
		p.listeners.Rejudge()
		p.changed()
	})
	p.own = own
	return nil
}

func (p *proxy) trust() string {
	if p.local.Trust == "" {
		return identity.DefaultTrustDomain
	}
	return p.local.Trust
}

// node is what the control plane is told of the proxy.
func (p *proxy) node() *corev3.Node {
	n := proto.CloneOf(p.o.Bootstrap.GetNode())
	if n == nil {
		n = new(corev3.Node)
	}
	n.UserAgentName = sidecar.UserAgent
	n.UserAgentVersionType = &corev3.Node_UserAgentVersion{UserAgentVersion: version.Version}
	return n
}

// self is what metrics say of the proxy's workload.
func (p *proxy) self() metrics.Self {
	m := p.o.Bootstrap.GetNode().GetMetadata().GetFields()
	labels := m["LABELS"].GetStructValue().GetFields()
	return metrics.Self{
		Workload: m["NAME"].GetStringValue(), Namespace: m["NAMESPACE"].GetStringValue(),
		Service: labels["app"].GetStringValue(), Version: labels["version"].GetStringValue(),
		Principal: p.local.Identity, Cluster: cmp.Or(m["CLUSTER_ID"].GetStringValue(), "Kubernetes"), // Istio's default
	}
}

// secrets asks the store, which is made after those who need it.
type secrets struct{ p *proxy }

// Certificate gives the certificate of an SDS name.
func (s secrets) Certificate(name string) (*tls.Certificate, error) {
	return s.p.store.Certificate(name)
}

// Roots gives the roots of an SDS name.
func (s secrets) Roots(name string) (*x509.CertPool, error) { return s.p.store.Roots(name) }
