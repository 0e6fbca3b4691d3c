package jose

import "crypto"

// Algorithm is a signature algorithm by its name in the header's alg (RFC 7518,
// 3.1; RFC 8037, 3.1).
type Algorithm string

// keyType is a JWK's kty.
type keyType string

const (
	typeRSA keyType = "RSA"
	typeEC  keyType = "EC"
	typeOKP keyType = "OKP"
	typeOct keyType = "oct"
)

// algorithm says what an Algorithm needs. A key serves only those of its type
// and, for EC, of its curve: so an RSA key never verifies HS256.
type algorithm struct {
	name Algorithm
	kty  keyType
	hash crypto.Hash // 0 for EdDSA, which hashes by itself
	crv  string      // EC and OKP
	pss  bool
}

// algorithms are all that are supported. "none" never is.
var algorithms = map[Algorithm]*algorithm{
	"RS256": {name: "RS256", kty: typeRSA, hash: crypto.SHA256},
	"RS384": {name: "RS384", kty: typeRSA, hash: crypto.SHA384},
	"RS512": {name: "RS512", kty: typeRSA, hash: crypto.SHA512},
	"PS256": {name: "PS256", kty: typeRSA, hash: crypto.SHA256, pss: true},
	"PS384": {name: "PS384", kty: typeRSA, hash: crypto.SHA384, pss: true},
	"PS512": {name: "PS512", kty: typeRSA, hash: crypto.SHA512, pss: true},
	"ES256": {name: "ES256", kty: typeEC, hash: crypto.SHA256, crv: "P-256"},
	"ES384": {name: "ES384", kty: typeEC, hash: crypto.SHA384, crv: "P-384"},
	"ES512": {name: "ES512", kty: typeEC, hash: crypto.SHA512, crv: "P-521"},
	"HS256": {name: "HS256", kty: typeOct, hash: crypto.SHA256},
	"HS384": {name: "HS384", kty: typeOct, hash: crypto.SHA384},
	"HS512": {name: "HS512", kty: typeOct, hash: crypto.SHA512},
	"EdDSA": {name: "EdDSA", kty: typeOKP, crv: "Ed25519"},
}
