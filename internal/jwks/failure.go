package jwks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Reason is the class of a failed fetch, for metrics.
type Reason string

// The reasons.
const (
	ReasonForbidden Reason = "forbidden" // the address must not be asked
	ReasonName      Reason = "name"      // the host's name is not resolved
	ReasonConnect   Reason = "connect"   // no connection
	ReasonTLS       Reason = "tls"
	ReasonTimeout   Reason = "timeout" // no whole answer in time
	ReasonHTTP      Reason = "http"    // the answer is no HTTP, or is cut
	ReasonRedirect  Reason = "redirect"
	ReasonStatus    Reason = "status"
	ReasonUnnamed   Reason = "unnamed" // the mirror says that no object names the set
	ReasonSize      Reason = "size"
	ReasonContent   Reason = "content"   // no key set, or one without a usable key
	ReasonDiscovery Reason = "discovery" // no discovery document, or another issuer's
)

// ErrForbidden is what a transport's error must be (errors.Is) if an address must
// not be asked.
var ErrForbidden = errors.New("an address that must not be asked for keys")

// failure is an error with its class.
type failure struct {
	reason Reason
	err    error
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

func failed(r Reason, err error) error { return &failure{r, err} }

// reasonOf gives the class of a fetch's error.
func reasonOf(err error) Reason {
	var (
		f    *failure
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
		rec  tls.RecordHeaderError
		al   tls.AlertError
		op   *net.OpError
		ne   net.Error
	)
	switch {
	case errors.As(err, &f):
		return f.reason
	case errors.Is(err, ErrForbidden):
		return ReasonForbidden
	case errors.As(err, &cert), errors.As(err, &rec), errors.As(err, &al):
		return ReasonTLS
	case errors.As(err, &ne) && ne.Timeout():
		return ReasonTimeout
	case errors.As(err, &dns):
		return ReasonName
	case errors.As(err, &op):
		return ReasonConnect
	}
	return ReasonHTTP
}

// cause is an error of net/http without the address, which callers say, and with the
// same text each time: a status is written, and a line logged, when a text changes.
func cause(ctx context.Context, err error) error {
	var (
		ue   *url.Error
		cert x509.CertificateInvalidError
		op   *net.OpError
	)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failed(ReasonTimeout, errors.New("no whole answer in time"))
	case errors.As(err, &cert) && cert.Reason == x509.Expired && cert.Cert != nil:
		return failed(ReasonTLS, fmt.Errorf("x509: certificate has expired or is not yet valid: it is good from %s to %s",
			cert.Cert.NotBefore.UTC().Format(time.RFC3339), cert.Cert.NotAfter.UTC().Format(time.RFC3339)))
	case errors.As(err, &op) && op.Source != nil:
		bare := *op
		bare.Source = nil // our port, which is another each time
		return &bare
	case errors.As(err, &ue):
		return ue.Err
	}
	return err
}
