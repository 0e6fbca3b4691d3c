package mesh

import "net/netip"

// KeySet is one source of token keys outside the mesh's objects, which the
// mirror fetches for everybody.
type KeySet struct {
	// URI is the key set's or, with Discovery, that of the discovery document
	// (<issuer>/.well-known/openid-configuration), whose jwks_uri is asked then.
	URI       string
	Discovery bool
	// Issuer is what a discovery document must give as its issuer; "" without
	// Discovery.
	Issuer string
	// Owners are the objects that name it, sorted.
	Owners []Ref
	// MeshEndpoints are the addresses to ask if the URI's host is a service of
	// the mesh; MeshService tells so, also when there are no endpoints.
	MeshService   bool
	MeshEndpoints []netip.AddrPort
}
