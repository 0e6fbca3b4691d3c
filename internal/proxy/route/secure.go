package route

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// secure is what require_tls says: which requests are sent to the same place by https, as
// by a route of their own, of which nothing else of the virtual host is true.
type secure struct {
	route       *Route
	internalToo bool // ALL, and not EXTERNAL_ONLY
}

// requireTLS compiles require_tls; nil: nothing is required.
func (v *VirtualHost) requireTLS(m routev3.VirtualHost_TlsRequirementType) error {
	switch m {
	case routev3.VirtualHost_NONE:
		return nil
	case routev3.VirtualHost_EXTERNAL_ONLY, routev3.VirtualHost_ALL:
		v.secure = &secure{&Route{Redirect: &Redirect{Status: 301, secures: true}}, m == routev3.VirtualHost_ALL}
		return nil
	}
	return strict.Errorf("require_tls", "%s: %w", m, strict.ErrUnsupported)
}

// of tells whether a request is sent there. How it has come is what x-forwarded-proto says,
// which the connection manager has set, or has believed a proxy in front of this one.
func (s *secure) of(x *exchange.Exchange) bool {
	if s == nil || x.Request.Header.Get("x-forwarded-proto") == "https" {
		return false
	}
	return s.internalToo || x.Request.Header.Get("x-envoy-internal") != "true"
}
