package mesh

import "net/netip"

// KeySet is one source of token keys outside the mesh's objects, which the
// mirror fetches for everybody.
type KeySet struct {
	// URI is the key set's, or with Discovery the issuer's: the mirror then
	// reads <URI>/.well-known/openid-configuration.
	URI       string
	Discovery bool
	// Issuer is the expected issuer of a discovery document; "" if any.
	Issuer string
	// Owners are the objects that name it, sorted.
	Owners []Ref
	// MeshEndpoints are the addresses to ask if the URI's host is a service of
	// the mesh; MeshService tells so, also when there are no endpoints.
	MeshService   bool
	MeshEndpoints []netip.AddrPort
}
