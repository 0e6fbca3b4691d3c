package identity

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	securityv1alpha1 "istio.io/api/security/v1alpha1"
)

// What an authority's answer may hold.
const (
	maxChain  = 16        // certificates
	maxAnswer = 256 << 10 // bytes
)

// CSRClient asks a certificate authority over Istio's protocol,
// istio.v1.auth.IstioCertificateService/CreateCertificate.
type CSRClient struct {
	Addr  string // host:port
	Roots RootSource
	CAIDs []string // SPIFFE IDs that the authority may have
	Token func() (string, error)
	Now   func() time.Time
}

// Sign has the authority certify the key for ttl and gives the chain, leaf first,
// as the authority sent it: the caller judges it. id is named in the request for
// authorities that compare it with the token's; zero names none. Each call is a
// connection of its own, since there are hours between them.
func (c *CSRClient) Sign(ctx context.Context, key crypto.Signer, id spiffeid.ID, ttl time.Duration) ([]*x509.Certificate, error) {
	token, err := c.Token()
	if err != nil {
		return nil, err
	}
	t := &x509.CertificateRequest{}
	if !id.IsZero() {
		t.URIs = []*url.URL{id.URL()}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, t, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	conn, err := grpc.NewClient("passthrough:///"+c.Addr,
		grpc.WithTransportCredentials(credentials.NewTLS(RootsTLS(c.Roots, c.CAIDs, WithClock(c.Now)))),
		grpc.WithNoProxy(), // the application's proxy variables are not for us
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", c.Addr, err)
	}
	defer conn.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	rsp, err := securityv1alpha1.NewIstioCertificateServiceClient(conn).CreateCertificate(ctx, &securityv1alpha1.IstioCertificateRequest{
		Csr:              string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
		ValidityDuration: int64(ttl / time.Second),
	})
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", c.Addr, err)
	}
	chain, err := ParseCertificates([]byte(strings.Join(rsp.GetCertChain(), "\n")))
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: answer: %w", c.Addr, err)
	}
	if len(chain) > maxChain {
		return nil, fmt.Errorf("certificate authority %s: answer has %d certificates, more than %d", c.Addr, len(chain), maxChain)
	}
	return chain, nil
}
