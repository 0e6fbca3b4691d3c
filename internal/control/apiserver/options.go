package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Options says where a Server keeps its state, where it listens and what it serves
// beyond the built-in kinds.
type Options struct {
	// EtcdDir holds etcd's data. It is made with mode 0700 if it does not exist, and
	// locked for as long as the Server runs.
	EtcdDir string
	// SocketDir is a 0700 folder for etcd's two Unix sockets. Its path must leave
	// room for a file name within the 107 bytes of a socket's path.
	SocketDir string
	// PKIDir holds the API's certificate authorities, certificates and keys and the
	// key that signs service account tokens; each file is 0600.
	PKIDir string
	// Listener is bound to a loopback TCP address already. Start takes it over.
	Listener net.Listener
	// CRDs are installed or brought up to date at every start. What is installed lacks
	// their schemas' x-kubernetes-validations, by which the Server judges itself.
	CRDs []*apiextensionsv1.CustomResourceDefinition
	// Validate is the admission of custom resources, after their schema. old is nil
	// on create. Both objects are read-only. Nil admits everything.
	Validate func(ctx context.Context, obj, old *unstructured.Unstructured) field.ErrorList
	// Log takes the server's log and that of its libraries (etcd, klog). The latter
	// is one for the process: of several Servers the last one started has it.
	Log *slog.Logger
}

func (o *Options) check() error {
	switch {
	case o.EtcdDir == "" || o.SocketDir == "" || o.PKIDir == "":
		return errors.New("apiserver: EtcdDir, SocketDir and PKIDir are required")
	case o.Listener == nil:
		return errors.New("apiserver: a listener is required")
	}
	addr, ok := o.Listener.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		return fmt.Errorf("apiserver: %s is not a loopback TCP address", o.Listener.Addr())
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
