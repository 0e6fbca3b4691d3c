package ca

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/usher-mesh/usher/internal/identity"
)

// Audience is that of join tokens, as in Istio.
const Audience = "istio-ca"

// What one request may hold.
const (
	maxToken   = 16 << 10
	maxCSR     = 16 << 10
	maxMessage = 64 << 10
	maxReviews = 32 // token reviews under way at once
)

// ErrDenied is wrapped by errors that say that somebody may not have what they
// ask for, as against those that say that it could not be found out.
var ErrDenied = errors.New("denied")

// TokenReviewer tells whose token it is. An error that wraps ErrDenied means that
// it is nobody's; any other that it could not be found out. Errors must not hold
// the token.
type TokenReviewer interface {
	Review(ctx context.Context, token, audience string) (namespace, serviceAccount string, err error)
}

// Service is istio.v1.auth.IstioCertificateService.
type Service struct {
	securityv1alpha1.UnimplementedIstioCertificateServiceServer
	authority *Authority
	reviewer  TokenReviewer
	log       *slog.Logger
	reviews   chan struct{}
}

var _ securityv1alpha1.IstioCertificateServiceServer = (*Service)(nil)

// NewService makes the CSR service of an authority.
func NewService(a *Authority, r TokenReviewer, log *slog.Logger) *Service {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Service{authority: a, reviewer: r, log: log, reviews: make(chan struct{}, maxReviews)}
}

// GRPCOptions bound what a client of the service can cost. The listener's
// credentials are the caller's matter (identity.ServerTLSOptionalClient).
func GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(16),
		grpc.MaxHeaderListSize(2 * maxToken),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: time.Minute}),
	}
}

// CreateCertificate signs the key of the request's CSR for the identity of the
// request's token. Codes: Unauthenticated without a good token, InvalidArgument
// for a bad CSR, PermissionDenied for an identity that nobody is given,
// Unavailable when the token cannot be judged now.
func (s *Service) CreateCertificate(ctx context.Context, rq *securityv1alpha1.IstioCertificateRequest) (*securityv1alpha1.IstioCertificateResponse, error) {
	token, err := bearer(ctx)
	if err != nil {
		return nil, err
	}
	if len(rq.GetCsr()) > maxCSR {
		return nil, status.Errorf(codes.InvalidArgument, "certificate request is bigger than %d bytes", maxCSR)
	}
	ns, account, err := s.review(ctx, token)
	if err != nil {
		return nil, err
	}
	id, err := identity.Workload(s.authority.TrustDomain().Name(), ns, account)
	if err != nil {
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	csr, err := parseCSR(rq.GetCsr())
	if err != nil {
		s.log.Info("certificate request refused", "id", id, "error", err)
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	// Compared in seconds: as a Duration a big number would overflow.
	ttl := MaxTTL
	if v := rq.GetValidityDuration(); v > 0 && v < int64(MaxTTL/time.Second) {
		ttl = time.Duration(v) * time.Second
	}
	chain, err := s.authority.Issue(id, csr.PublicKey, ttl)
	switch {
	case errors.Is(err, ErrDenied):
		s.log.Warn("certificate refused", "id", id, "error", err)
		return nil, status.Error(codes.PermissionDenied, err.Error())
	case err != nil:
		s.log.Error("certificate cannot be issued", "id", id, "error", err)
		return nil, status.Error(codes.Internal, "the certificate cannot be issued")
	}
	s.log.Info("certificate issued", "id", id, "serial", chain[0].SerialNumber.Text(16), "until", chain[0].NotAfter)
	out := &securityv1alpha1.IstioCertificateResponse{}
	for _, c := range chain {
		out.CertChain = append(out.CertChain, string(identity.EncodeCertificates(c)))
	}
	return out, nil
}

// review asks who the token is, with few such questions at once: they cost the
// API server more than they cost whoever sends bad tokens.
func (s *Service) review(ctx context.Context, token string) (ns, account string, err error) {
	select {
	case s.reviews <- struct{}{}:
		defer func() { <-s.reviews }()
	case <-ctx.Done():
		return "", "", status.FromContextError(ctx.Err()).Err()
	}
	ns, account, err = s.reviewer.Review(ctx, token, Audience)
	switch {
	case err == nil:
		return ns, account, nil
	case errors.Is(err, ErrDenied):
		s.log.Debug("join token refused", "error", err)
		return "", "", status.Error(codes.Unauthenticated, "the token is not valid")
	case ctx.Err() != nil:
		return "", "", status.FromContextError(ctx.Err()).Err()
	}
	s.log.Warn("join token cannot be reviewed", "error", err)
	return "", "", status.Error(codes.Unavailable, "the token cannot be reviewed now")
}

// bearer gives the request's token.
func bearer(ctx context.Context) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	v := md.Get("authorization")
	if len(v) != 1 {
		return "", status.Errorf(codes.Unauthenticated, "%d authorization values, not one", len(v))
	}
	scheme, token, ok := strings.Cut(v[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", status.Error(codes.Unauthenticated, "authorization is not a bearer token")
	}
	if len(token) > maxToken {
		return "", status.Errorf(codes.Unauthenticated, "the token is longer than %d bytes", maxToken)
	}
	return token, nil
}

// parseCSR takes a request for its key alone, after the proof that the sender has
// the private half.
func parseCSR(text string) (*x509.CertificateRequest, error) {
	b, rest := pem.Decode([]byte(text))
	if b == nil || b.Type != "CERTIFICATE REQUEST" && b.Type != "NEW CERTIFICATE REQUEST" {
		return nil, errors.New("certificate request is not PEM of type CERTIFICATE REQUEST")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("text after the certificate request")
	}
	csr, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil {
		return nil, errors.New("certificate request cannot be read")
	}
	// Before the signature: checking one by a huge key is costly.
	if err := identity.CheckKey(csr.PublicKey); err != nil {
		return nil, errors.New("certificate request: " + err.Error())
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, errors.New("certificate request is not signed by its own key")
	}
	return csr, nil
}
