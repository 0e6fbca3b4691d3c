package v1alpha1

import (
	metav1alpha1 "istio.io/api/meta/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Policy says how callers of services in its namespace authenticate. One named
// `default` without targets is for the whole namespace.
type Policy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PolicySpec               `json:"spec"`
	Status metav1alpha1.IstioStatus `json:"status,omitzero"`
}

// PolicyList is a list of policies.
type PolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []*Policy `json:"items"`
}

// MeshPolicy is the policy of workloads that no Policy is for. It must be named
// `default` and has no targets.
type MeshPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PolicySpec               `json:"spec"`
	Status metav1alpha1.IstioStatus `json:"status,omitzero"`
}

// MeshPolicyList is a list of mesh policies.
type MeshPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []*MeshPolicy `json:"items"`
}

// PrincipalBinding picks which identity becomes the request's principal.
type PrincipalBinding string

const (
	// UsePeer is the default: the identity that the peers section proved.
	UsePeer PrincipalBinding = "USE_PEER"
	// UseOrigin is the identity of the token that the origins section found valid.
	UseOrigin PrincipalBinding = "USE_ORIGIN"
)

// PolicySpec is what Policy and MeshPolicy have in common.
type PolicySpec struct {
	// Targets are the services that the policy is for; none: all of the scope.
	Targets []TargetSelector `json:"targets,omitempty"`
	// Peers are the ways a peer may prove itself; the first that succeeds counts.
	Peers []PeerAuthenticationMethod `json:"peers,omitempty"`
	// PeerIsOptional lets requests pass when no peer method succeeds.
	PeerIsOptional bool `json:"peerIsOptional,omitempty"`
	// Origins are the tokens that prove the end user; the first that succeeds counts.
	Origins []OriginAuthenticationMethod `json:"origins,omitempty"`
	// OriginIsOptional lets requests pass when no origin method succeeds.
	OriginIsOptional bool             `json:"originIsOptional,omitempty"`
	PrincipalBinding PrincipalBinding `json:"principalBinding,omitempty"`
}

// TargetSelector names a service of the policy's namespace by its short name.
type TargetSelector struct {
	Name string `json:"name"`
	// Ports are ports of the service; none: all.
	Ports []PortSelector `json:"ports,omitempty"`
}

// PortSelector is a service's port by number or by name: exactly one is set.
type PortSelector struct {
	Number uint32 `json:"number,omitempty"`
	Name   string `json:"name,omitempty"`
}

// PeerAuthenticationMethod is one way for a peer: exactly one field is set.
type PeerAuthenticationMethod struct {
	// MTLS is present, perhaps empty, for `mtls: {}` and for `mtls:` alone.
	MTLS *MutualTLS `json:"mtls,omitempty"`
	JWT  *JWT       `json:"jwt,omitempty"`
}

// Mode is a mutual TLS mode.
type Mode string

const (
	// Strict is the default: only mutual TLS.
	Strict Mode = "STRICT"
	// Permissive takes mutual TLS and clear text.
	Permissive Mode = "PERMISSIVE"
)

// MutualTLS asks for a client certificate of the mesh.
type MutualTLS struct {
	// AllowTLS takes TLS without a client certificate. Deprecated in Istio 1.1.
	AllowTLS bool `json:"allowTls,omitempty"`
	Mode     Mode `json:"mode,omitempty"`
}

// OriginAuthenticationMethod is one way for an end user.
type OriginAuthenticationMethod struct {
	JWT *JWT `json:"jwt,omitempty"`
}

// JWT says which tokens are good and where they stand in a request.
type JWT struct {
	// Issuer is the token's `iss`.
	Issuer string `json:"issuer,omitempty"`
	// Audiences: one of them must be in the token's `aud`; none: any audience.
	Audiences []string `json:"audiences,omitempty"`
	// JWKS is the key set itself (RFC 7517), JWKSURI where it is fetched; neither:
	// OpenID discovery at the issuer.
	JWKS    string `json:"jwks,omitempty"`
	JWKSURI string `json:"jwksUri,omitempty"`
	// JWTHeaders and JWTParams are the headers and query parameters that tokens are
	// read from; neither: Authorization and access_token.
	JWTHeaders []string `json:"jwtHeaders,omitempty"`
	JWTParams  []string `json:"jwtParams,omitempty"`
	// TriggerRules say which requests need the token; none: all.
	TriggerRules []TriggerRule `json:"triggerRules,omitempty"`
}

// TriggerRule fires when no excluded path matches and, if there are included ones,
// one of them does. Paths are compared without query and fragment.
type TriggerRule struct {
	ExcludedPaths []StringMatch `json:"excludedPaths,omitempty"`
	IncludedPaths []StringMatch `json:"includedPaths,omitempty"`
}

// StringMatch is one way to compare: exactly one field is set. Regex is RE2 and
// must match the whole value.
type StringMatch struct {
	Exact  string `json:"exact,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	Suffix string `json:"suffix,omitempty"`
	Regex  string `json:"regex,omitempty"`
}
