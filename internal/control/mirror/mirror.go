// Package mirror serves to proxies the key sets that objects name, fetched once
// for everybody (package jwks), and decides which addresses may be asked for
// them. It knows the model's list of key sets and nothing else of it.
package mirror

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/usher-mesh/usher/internal/jwks"
)

// Policy says which addresses are never asked. Link-local, multicast and
// unspecified ones never are.
type Policy struct {
	// UsherPorts lists usher's own listeners; Issuer alone of them may be asked.
	UsherPorts func() []netip.AddrPort
	Issuer     netip.AddrPort
	// Loopback allows addresses of this machine (`usher up`).
	Loopback bool
}

// Options say where sets are kept and how they are reached.
type Options struct {
	Dir string // last good sets
	// Resolve gives the endpoints of a mesh service, given "host:port" as a URI
	// names it; false: not a mesh service.
	Resolve  func(hostport string) ([]netip.AddrPort, bool)
	Allow    Policy
	Roots    *x509.CertPool   // default SystemRoots()
	OnChange func(uri string) // after a set or its state changed
	Log      *slog.Logger
	Now      func() time.Time
}

// Mirror keeps and serves key sets.
type Mirror struct{}

// New makes a mirror of nothing.
func New(o Options) (*Mirror, error) { panic("unfinished") }

// Handler serves GET /jwks/<base64url of the URI>?kid=<kid>; see the contracts.
func (m *Mirror) Handler() http.Handler { panic("unfinished") }

// States gives the state of every key set, ordered by URI.
func (m *Mirror) States() []jwks.State { panic("unfinished") }

// Run returns when ctx has ended and no fetch is under way.
func (m *Mirror) Run(ctx context.Context) error { panic("unfinished") }
