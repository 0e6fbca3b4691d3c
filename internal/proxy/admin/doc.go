// Package admin serves what operators and the command line ask of a proxy: over
// TCP only readiness and metrics, the rest on a Unix socket of mode 0600. It
// shows and triggers; what is shown comes from the functions that it is given.
package admin

import (
	"crypto/x509"
	"log/slog"

	"github.com/usher-mesh/usher/internal/proxy/config"
	"github.com/usher-mesh/usher/internal/proxy/metrics"
)

// Options are what is shown and what can be triggered.
type Options struct {
	Ready   func() bool
	Config  func() Status
	Dump    func(typeURL string) []config.Shown
	Boot    func() ([]byte, error) // the bootstrap as JSON, redacted
	Hosts   func() []Host
	Certs   func() (chain []*x509.Certificate, err error) // the proxy's own
	Metrics *metrics.Registry
	Level   *slog.LevelVar
	// Drain has listeners drain, all or those inbound; graceful: they still accept for
	// the time of a drain. Draining tells whether all do.
	Drain    func(graceful, inbound bool)
	Draining func() bool
	Quit     func() // as SIGTERM
	Log      *slog.Logger
}

// Status is /config.
type Status struct {
	Version   string `json:"version"`   // digest of the resources in force
	Acked     bool   `json:"acked"`     // the control plane is there and was answered
	Connected bool   `json:"connected"` // the stream is open
	Rejected  int    `json:"rejected"`  // resources whose last version is refused
	Ready     bool   `json:"ready"`
	Draining  bool   `json:"draining,omitempty"`
}

// Host is one endpoint in /clusters.
type Host struct {
	Cluster string `json:"cluster"`
	Address string `json:"address"`
	TLS     bool   `json:"tls"`
}
