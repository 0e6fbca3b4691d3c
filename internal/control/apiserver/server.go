package apiserver

import (
	"context"
	"errors"

	"k8s.io/client-go/rest"
)

// Server is a running API server and its etcd.
type Server struct {
	done chan struct{}
	err  error
}

// Start opens the data, starts etcd and the API server, and returns when requests
// can be served: every CRD is established, and the namespaces default and
// istio-system are there. ctx bounds the start alone. An error names the folder or
// file that is at fault; nothing is left running then and the listener is closed.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return nil, errors.New("apiserver: not built yet")
}

// AdminConfig is a client's configuration with the certificate of group
// system:masters, which may do everything.
func (s *Server) AdminConfig() *rest.Config { return nil }

// ControlPlaneConfig is a client's configuration with the certificate of group
// system:usher:control-plane, which may do what a control plane and the agent of
// one machine need (see controlPlaneRules) and no more.
func (s *Server) ControlPlaneConfig() *rest.Config { return nil }

// Kubeconfig is a kubeconfig file (YAML, with the admin's key in it, so keep it
// 0600) whose context has the given default namespace.
func (s *Server) Kubeconfig(namespace string) ([]byte, error) { return nil, nil }

// Done is closed when the server has ended, by Close or by a failure.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server ended; nil while it runs and after an orderly Close.
func (s *Server) Err() error { return s.err }

// Close ends the API server, then etcd, and returns when both have ended. It may
// be called more than once.
func (s *Server) Close() error { return nil }
