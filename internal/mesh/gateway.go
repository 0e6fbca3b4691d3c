package mesh

// GatewayConfig is one Gateway object: what is open at the edge, and on which
// proxies.
type GatewayConfig struct {
	Ref             Ref
	Namespace, Name string
	Selector        map[string]string
	Servers         []Server
}

// Server is one port of a Gateway object.
type Server struct {
	Index    int // in the object
	Port     uint16
	PortName string
	Protocol string // http, http2, grpc, https
	// Hosts are those that it serves; "*" for all. A namespace before a slash
	// in the object restricts which VirtualServices may bind: HostNamespaces
	// runs parallel, "*" for any.
	Hosts          []string
	HostNamespaces []string
	HTTPSRedirect  bool
	TLS            *ServerTLS
}

// ServerTLS is how a gateway's port ends TLS.
type ServerTLS struct {
	// Credential names a Secret in the namespace of the gateway's proxies.
	Credential string
	Mutual     bool
	// ClientNames are the subject alternative names of which a client's
	// certificate must have one; none: any that the roots vouch for.
	ClientNames []string
	Min, Max    TLSVersion
}

// TLSVersion is a version of TLS that bounds those of a handshake.
type TLSVersion uint8

// The versions, in their order.
const (
	// AnyTLS is no bound.
	AnyTLS TLSVersion = iota
	TLS12
	TLS13
)
