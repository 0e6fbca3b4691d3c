package home

import "path/filepath"

// WorkloadDir is the folder of one local workload, 0700.
type WorkloadDir string

func (w WorkloadDir) join(e string) string { return filepath.Join(string(w), e) }

// Spec is what the supervisor runs (supervise.Spec as JSON), written by whoever
// starts the workload before the supervisor starts.
func (w WorkloadDir) Spec() string { return w.join("workload.json") }

// Lock is held (flock) by the workload's supervisor for as long as it lives.
func (w WorkloadDir) Lock() string { return w.join("lock") }

// State is the supervisor's account of itself and its children, JSON, replaced
// by rename at every change.
func (w WorkloadDir) State() string { return w.join("state.json") }

// Token is the service account token that the sidecar shows to the CA, 0600; the
// control plane's side replaces it before it expires.
func (w WorkloadDir) Token() string { return w.join("token") }

// Root is the mesh's root certificates, PEM.
func (w WorkloadDir) Root() string { return w.join("root-cert.pem") }

// Bootstrap is the sidecar's bootstrap file.
func (w WorkloadDir) Bootstrap() string { return w.join("bootstrap.json") }

// Cache is the sidecar's folder of last good configuration, certificate and keys.
func (w WorkloadDir) Cache() string { return w.join("cache") }

// AppLog, ProxyLog, AccessLog and SupervisorLog are the workload's log files.
func (w WorkloadDir) AppLog() string        { return w.join("app.log") }
func (w WorkloadDir) ProxyLog() string      { return w.join("proxy.log") }
func (w WorkloadDir) AccessLog() string     { return w.join("access.log") }
func (w WorkloadDir) SupervisorLog() string { return w.join("supervisor.log") }
