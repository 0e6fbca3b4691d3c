// Package app wires the control plane: API objects in (source), model (translate),
// configuration out (xds), and beside it the certificate authority, the key set
// mirror, the development issuer, status and the debug socket. It owns the order
// of start and stop, and no behaviour of its own. It must not know whether the API
// server is in the same process.
package app

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"
)

// Options is what a control plane needs. Listeners are bound by the caller, and
// closed by Run, which also closes them if it fails.
type Options struct {
	Config    *rest.Config // of group system:usher:control-plane
	PKIDir    string       // the certificate authority's
	IssuerDir string       // the development issuer's keys
	JWKSDir   string       // the mirror's last good key sets

	// KeyRefresh is the time between fetches of an issuer's keys, at most; 0: what the
	// issuer says, within bounds. KeyMaxAge is how long keys are used while the issuer
	// cannot be asked; 0: a day.
	KeyRefresh, KeyMaxAge time.Duration

	XDS    net.Listener // delta ADS, mTLS
	CA     net.Listener // certificate requests, TLS
	Mirror net.Listener // key sets, mTLS
	Issuer net.Listener // development issuer, HTTP

	// DebugSocket is the path of a Unix socket (0600) that serves /metrics and
	// /debug/; empty for none.
	DebugSocket string
	// UsherPorts are the ports of usher's own, which no jwksUri may name; the
	// issuer's is allowed. May be nil.
	UsherPorts func() []netip.AddrPort

	Log *slog.Logger
	// Ready is called once, when the first model is served. May be nil.
	Ready func()
}

func (o *Options) check() error {
	switch {
	case o.Config == nil:
		return errors.New("no API server to read from")
	case o.XDS == nil || o.CA == nil || o.Mirror == nil || o.Issuer == nil:
		return errors.New("a listener is missing")
	case o.PKIDir == "" || o.IssuerDir == "" || o.JWKSDir == "":
		return errors.New("a folder is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
