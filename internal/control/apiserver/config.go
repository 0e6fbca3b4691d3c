package apiserver

import (
	"crypto/rand"
	"fmt"
	"net"
	"time"

	extapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"

	"github.com/usher-mesh/usher/internal/control/apiserver/openapi"
	"github.com/usher-mesh/usher/internal/control/apiserver/pki"
	"github.com/usher-mesh/usher/internal/control/apiserver/tokens"
)

// shutdownTimeout bounds how long requests in flight, and watches, hold the end.
const shutdownTimeout = 2 * time.Second

// newConfig is the generic server's configuration but for storage, admission and
// authentication, which need each other.
func newConfig(l net.Listener, scheme *runtime.Scheme, files *pki.Files) (*server.RecommendedConfig, error) {
	c := server.NewRecommendedConfig(extapiserver.Codecs)
	c.EffectiveVersion = newVersion()
	c.FeatureGate = utilfeature.DefaultFeatureGate
	c.ExternalAddress = l.Addr().String()
	c.MergedResourceConfig = extapiserver.DefaultAPIResourceConfigSource()
	c.EnableProfiling = false
	c.EnableIndex = true
	c.ShutdownWatchTerminationGracePeriod = shutdownTimeout
	c.RequestTimeout = time.Minute

	namer := openapinamer.NewDefinitionNamer(extapiserver.Scheme, scheme)
	c.OpenAPIConfig = server.DefaultOpenAPIConfig(openapi.Definitions, namer)
	c.OpenAPIV3Config = server.DefaultOpenAPIV3Config(openapi.Definitions, namer)
	c.OpenAPIConfig.Info.Title, c.OpenAPIV3Config.Info.Title = "usher", "usher"

	cert, err := dynamiccertificates.NewStaticCertKeyContent("apiserver", files.Server.Cert, files.Server.Key)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	serving := options.NewSecureServingOptions()
	serving.Listener = l
	serving.ServerCert.GeneratedCert = cert
	if err := serving.ApplyTo(&c.SecureServing); err != nil {
		return nil, err
	}
	// The server's own client sees the certificate that others see. WithLoopback would
	// make an RSA key for it at each start: a tenth of a second.
	if c.LoopbackClientConfig, err = c.SecureServing.NewClientConfig(files.ServerCA); err != nil {
		return nil, err
	}
	c.LoopbackClientConfig.BearerToken = rand.Text()
	c.LoopbackClientConfig.QPS, c.LoopbackClientConfig.Burst = -1, -1
	return c, nil
}

// secure sets who may come in, and what each may do.
func secure(c *server.RecommendedConfig, files *pki.Files, t authenticator.Token) error {
	ca, err := dynamiccertificates.NewStaticCAContent("apiserver-client-ca", files.ClientCA)
	if err != nil {
		return fmt.Errorf("client authority: %w", err)
	}
	c.SecureServing.ClientCA = ca
	c.Authentication.APIAudiences = authenticator.Audiences{tokens.Issuer}
	c.Authentication.Authenticator = newAuthenticator(ca, t)
	c.Authorization.Authorizer = newAuthorizer()
	return nil
}
