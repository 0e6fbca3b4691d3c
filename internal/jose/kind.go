package jose

// Kind is the class of a failure. Its text is what a client sees.
type Kind uint8

// The kinds, in the order and with the texts of Envoy's jwt_authn filter. The
// ones that Envoy does not have come last.
const (
	OK Kind = iota
	Missing
	NotYetValid
	Expired
	BadFormat
	HeaderBase64
	HeaderJSON
	HeaderAlg
	AlgUnsupported
	HeaderKID
	PayloadBase64
	PayloadJSON
	IssuerType
	SubjectType
	IssuedAtType
	IssuedAtRange
	NotBeforeType
	NotBeforeRange
	ExpiryType
	ExpiryRange
	IDType
	AudienceType
	SignatureBase64
	Ed25519Length
	UnknownIssuer
	AudienceNotAllowed
	VerificationFailed
	MultipleTokens
	KeySetJSON
	KeySetNoKeys
	KeySetBadKeys
	NoValidKeys
	NoMatchingKey
	FetchFailed
	CritUnsupported
	numKinds
)

var kindTexts = [numKinds]string{
	OK:                 "OK",
	Missing:            "Jwt is missing",
	NotYetValid:        "Jwt not yet valid",
	Expired:            "Jwt is expired",
	BadFormat:          "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
	HeaderBase64:       "Jwt header is an invalid Base64url encoded",
	HeaderJSON:         "Jwt header is an invalid JSON",
	HeaderAlg:          "Jwt header [alg] field is required and must be a string",
	AlgUnsupported:     "Jwt header [alg] is not supported",
	HeaderKID:          "Jwt header [kid] field is not a string",
	PayloadBase64:      "Jwt payload is an invalid Base64url encoded",
	PayloadJSON:        "Jwt payload is an invalid JSON",
	IssuerType:         "Jwt payload [iss] field is not a string",
	SubjectType:        "Jwt payload [sub] field is not a string",
	IssuedAtType:       "Jwt payload [iat] field is not an integer",
	IssuedAtRange:      "Jwt payload [iat] field is not a positive 64 bit integer",
	NotBeforeType:      "Jwt payload [nbf] field is not an integer",
	NotBeforeRange:     "Jwt payload [nbf] field is not a positive 64 bit integer",
	ExpiryType:         "Jwt payload [exp] field is not an integer",
	ExpiryRange:        "Jwt payload [exp] field is not a positive 64 bit integer",
	IDType:             "Jwt payload [jti] field is not a string",
	AudienceType:       "Jwt payload [aud] field is not a string or string list",
	SignatureBase64:    "Jwt signature is an invalid Base64url encoded",
	Ed25519Length:      "Jwt ED25519 signature is wrong length",
	UnknownIssuer:      "Jwt issuer is not configured",
	AudienceNotAllowed: "Audiences in Jwt are not allowed",
	VerificationFailed: "Jwt verification fails",
	MultipleTokens:     "Found multiple Jwt tokens",
	KeySetJSON:         "Jwks is an invalid JSON",
	KeySetNoKeys:       "Jwks does not have [keys] field",
	KeySetBadKeys:      "[keys] in Jwks is not an array",
	NoValidKeys:        "Jwks doesn't have any valid public key",
	NoMatchingKey:      "Jwks doesn't have key to match kid or alg from Jwt",
	FetchFailed:        "Jwks remote fetch is failed",
	CritUnsupported:    "Jwt header [crit] is not supported",
}

// String gives the public text.
func (k Kind) String() string {
	if k < numKinds {
		return kindTexts[k]
	}
	return kindTexts[VerificationFailed]
}

// Code is the number that Envoy's failed_status_in_metadata has for the kind.
func (k Kind) Code() int {
	switch k {
	case FetchFailed: // Envoy has more kinds of bad keys before it
		return 40
	case CritUnsupported: // not Envoy's
		return 1000
	}
	return int(k)
}
