package jwt

// reason is a difference between the two that is meant.
type reason string

// The reasons. Each says what usher does, and then what Envoy does.
const (
	bareRealm     reason = "the challenge's realm has no query and is a proper quoted-string: Envoy repeats ?access_token=... in it"
	looseBase64   reason = "base64url has no padding, no spaces, and zero padding bits: Envoy decodes leniently"
	emptySections reason = "a token has three sections, none of them empty: Envoy drops empty ones"
	byteForByte   reason = "a token is the bytes that were signed: Envoy skips what stands before it, and bytes behind an ECDSA signature"
	critical      reason = "a crit that is not understood is refused (RFC 7515, 4.1.11): Envoy ignores it"
	unencoded     reason = "a payload that is said not to be base64url is refused (RFC 7797): Envoy ignores b64"
	looseJSON     reason = "JSON is RFC 8259: Envoy takes single quotes, bare names, trailing commas, raw control characters"
	notObject     reason = "a header or claims set is a JSON object (RFC 7515, 4; RFC 7519, 7.2): to Envoy null is an empty one"
	tooDeep       reason = "JSON nests at most 32 deep: Envoy's limit is higher"
	tooLong       reason = "a token has at most 16 KiB: Envoy takes what fits into a head"
	weakKeys      reason = "keys that are not fit for verifying are no keys: Envoy uses them"
	expiryOfZero  reason = "exp 0 is expired: to Envoy it is never"
	farAway       reason = "max_lifetime holds for every exp: Envoy's arithmetic overflows"
	boundAlg      reason = "alg is bound to the key's type: Envoy takes the key for its own type's algorithm, whatever alg says"
	everyKey      reason = "every key that could match is tried before a verdict: to Envoy an Ed25519 key's is the last word"
	anyScheme     reason = "the scheme of Authorization may be in any case (RFC 9110, 11.1): to Envoy another case is missing"
	prefixFirst   reason = "a prefix stands at the value's start: Envoy finds it anywhere"
	everyBad      reason = "beside allow_missing no good token lets a bad one through: in Envoy it does"
	staleStatus   reason = "a failed status is of the provider's own token: by itself, Envoy's allow_missing writes it for the provider of the token before"
	everyToken    reason = "every value of a parameter or cookie is a token that must be good: Envoy looks at the first"
	looseCookie   reason = "spaces around a cookie's name are no part of it, as servers read it: to Envoy they are"
	localSecrets  reason = "symmetric keys come from local sets alone: Envoy takes them from the network"
	internals     reason = "x-envoy-* of a peer without mTLS is removed: Envoy shows its x-envoy-original-path in the challenge"
	jsonClaims    reason = "claims in headers are as JSON has them, lists of scalars joined: Envoy writes 1.500000, and nothing of lists and objects"
	queryKept     reason = "other parameters stay byte for byte: Envoy sorts and decodes them, so that %26 parts one in two"
)

// reasons are all of them, each with where it is stated.
var reasons = map[reason]string{
	bareRealm:     "semantics, 1",
	looseBase64:   "semantics, 1",
	emptySections: "semantics, 1",
	byteForByte:   "semantics, 1: none of 43,054 changed tokens passes",
	critical:      "semantics, 1",
	unencoded:     "RFC 7797, 6: b64 is a critical extension",
	looseJSON:     "semantics, 1",
	notObject:     "RFC 7519",
	tooDeep:       "bounded input",
	tooLong:       "bounded input",
	weakKeys:      "semantics, 1",
	expiryOfZero:  "semantics, 1",
	farAway:       "fail closed",
	boundAlg:      "RFC 8725, 3.1",
	everyKey:      "semantics, 1",
	anyScheme:     "semantics, 1",
	prefixFirst:   "semantics, 1",
	everyBad:      "semantics, 2: any presented bad token is refused",
	staleStatus:   "JwtProvider.failed_status_in_metadata",
	everyToken:    "semantics, 2: any presented bad token is refused",
	looseCookie:   "semantics, 2: any presented bad token is refused",
	localSecrets:  "design, 5.3",
	internals:     "design, 5.11",
	jsonClaims:    "semantics, 1",
	queryKept:     "the filter's package comment",
}
