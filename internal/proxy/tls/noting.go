package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
)

type notingKey struct{}

// Noting has a handshake of that context note the certificate that this side shows, as the
// client's hello chooses it: whether or not the handshake then needs it, as one that resumes
// a session does not.
func Noting(ctx context.Context, shown **x509.Certificate) context.Context {
	return context.WithValue(ctx, notingKey{}, shown)
}

// note does what Noting has asked for.
func (d *Downstream) note(h *tls.ClientHelloInfo) {
	shown, ok := h.Context().Value(notingKey{}).(**x509.Certificate)
	if !ok {
		return
	}
	if c, err := d.certificate(h); err == nil && c != nil {
		*shown = c.Leaf
	}
}
