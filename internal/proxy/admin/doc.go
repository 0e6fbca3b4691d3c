// Package admin serves Envoy's administration interface: what operators, dashboards and
// the command line ask of a proxy. It listens on loopback or on a Unix socket of mode
// 0600, never for other machines, and answers no page of a browser that is not its own.
// It shows and triggers; what is shown comes, without secrets, from the functions that it
// is given.
package admin

import (
	"log/slog"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/metrics"
)

// Options are what is shown and what can be triggered.
type Options struct {
	// Allow tells whether a path with its query may be asked for over TCP: Envoy's
	// allow_paths. Nil: all may.
	Allow func(path string) bool

	Config    func() Status
	Server    func() *adminv3.ServerInfo
	Dump      func(endpoints bool) ([]proto.Message, error) // of /config_dump, redacted
	Unready   func() *adminv3.UnreadyTargetsDumps
	Clusters  func() *adminv3.Clusters
	Listeners func() *adminv3.Listeners
	Certs     func() *adminv3.Certificates
	Metrics   *metrics.Registry
	Loggers   Loggers
	// Drain has listeners drain, all or those inbound; graceful: they still accept for
	// the time of a drain; stay: only their connections end.
	Drain  func(graceful, inbound, stay bool)
	Health func(ok bool) // what health checks of the proxy are answered
	Quit   func()        // as SIGTERM
	Reopen func() error  // opens the access logs anew
	Log    *slog.Logger
}

// Loggers are the proxy's loggers by name.
type Loggers interface {
	Names() []string // in order
	Level(name string) slog.Level
	SetLevel(name string, l slog.Level)
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
