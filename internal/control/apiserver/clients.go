package apiserver

import (
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/usher-mesh/usher/internal/control/apiserver/pki"
)

// contextName is that of the kubeconfig's cluster, user and context.
const contextName = "usher"

func (s *Server) clientConfig(p pki.Pair) *rest.Config {
	return &rest.Config{
		Host: s.url,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   s.files.ServerCA,
			CertData: p.Cert,
			KeyData:  p.Key,
		},
		// The server is this machine's own; the client's throttle only adds latency.
		QPS:   -1,
		Burst: -1,
	}
}

// AdminConfig is a client's configuration with the certificate of group
// system:masters, which may do everything. The caller owns it.
func (s *Server) AdminConfig() *rest.Config { return s.clientConfig(s.files.Admin) }

// ControlPlaneConfig is a client's configuration with the certificate of group
// system:usher:control-plane, which may do what a control plane and the agent of
// one machine need (see controlPlaneRules) and no more. The caller owns it.
func (s *Server) ControlPlaneConfig() *rest.Config { return s.clientConfig(s.files.ControlPlane) }

// Kubeconfig is a kubeconfig file (YAML, with the admin's key in it, so keep it
// 0600) whose context has the given default namespace.
func (s *Server) Kubeconfig(namespace string) ([]byte, error) {
	c := clientcmdapi.NewConfig()
	c.Clusters[contextName] = &clientcmdapi.Cluster{Server: s.url, CertificateAuthorityData: s.files.ServerCA}
	c.AuthInfos[contextName] = &clientcmdapi.AuthInfo{ClientCertificateData: s.files.Admin.Cert, ClientKeyData: s.files.Admin.Key}
	c.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: contextName, Namespace: namespace}
	c.CurrentContext = contextName
	return clientcmd.Write(*c)
}
