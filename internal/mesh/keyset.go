package mesh

import "net/netip"

// KeySet is one source of token keys outside the mesh's objects, which the
// mirror fetches for everybody.
type KeySet struct {
	// URI is the key set's or, with an Issuer, that of the issuer's discovery
	// document with the issuer as its fragment: https://a and https://a/ have the
	// same document, and are two issuers.
	URI string
	// Issuer is what a discovery document must give as its issuer; "": the URI is
	// that of the keys.
	Issuer string
	// Owners are the objects that name it, sorted.
	Owners []Ref
	// MeshEndpoints are the addresses to ask if the URI's host is a service of
	// the mesh; MeshService tells so, also when there are no endpoints.
	MeshService   bool
	MeshEndpoints []netip.AddrPort
}
