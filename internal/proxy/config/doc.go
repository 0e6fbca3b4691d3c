// Package config holds the resources that the proxy was given: it decodes and
// compiles each by itself, keeps the last good version of one that is bad, and
// puts what is good in force by swapping one immutable snapshot and the listeners.
// It owns the order in which things go live (clusters before routes before
// listeners), what is denied instead, and the copy on disk. It knows neither how
// resources come nor how requests are served.
package config

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Options say how resources are compiled and where they are kept.
type Options struct {
	Cluster func(*clusterv3.Cluster) (*upstream.Cluster, error)
	Route   func(*routev3.RouteConfiguration) (*route.Table, error)
	// Listeners compiles and runs listeners.
	Listeners Listeners
	// Source is the address that upstream calls of clusters that name none come
	// from; invalid: any.
	Source netip.Addr
	// Own gives the proxy's own identity ("default", "ROOTCA"); nil: it has none.
	Own Identity
	// File keeps the last good configuration, 0600; "": it is not kept.
	File string
	// WarmFor bounds how long a resource waits for what it needs; default 5 s.
	WarmFor time.Duration
	// Warm tells whether what the filters of listeners wait for is there; Recheck is
	// called when it may have changed. nil: nothing is waited for.
	Warm func() bool
	// Counters holds what is counted of subscriptions, under Envoy's names; nil for nobody.
	Counters *counters.Set
	// OnChange is called, without a lock held, after something was put in force.
	OnChange func()
	Log      *slog.Logger
}

// Listeners runs listeners. Its methods are called one at a time.
type Listeners interface {
	// Compile judges a listener and changes nothing. An error names the field.
	Compile(*listenerv3.Listener) (Prepared, error)
	// Remove closes a listener; requests in flight end first.
	Remove(name string)
	// Rejudge has open connections judged again, since routes or secrets changed. It
	// does not wait.
	Rejudge()
}

// Prepared is a compiled listener.
type Prepared interface {
	// Apply makes it the one that runs under its name. It fails if its address
	// cannot be had; the one before goes on then.
	Apply() error
	// Close lets go of one that was not applied and is not to be.
	Close()
}

// Identity is the proxy's own (identity.Source).
type Identity interface {
	Certificate() (*tls.Certificate, error)
	Roots() (*x509.CertPool, error)
	RootsPEM() []byte // the same as text
}
