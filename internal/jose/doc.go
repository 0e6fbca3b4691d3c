// Package jose reads and verifies signed JSON Web Tokens: compact JWS (RFC 7515),
// JWK (RFC 7517, 7518, 8037) and JWT (RFC 7519). Parse decodes a token, ParseKeySet
// the keys, KeySet.Verify brings both together, Token.CheckTimes and Audiences judge
// the claims, a Cache remembers tokens that were good.
//
// It is strict where others are lenient, so that a token has one spelling and one
// meaning: base64url without padding and with zero padding bits, JSON as RFC 8259
// has it without repeated names, no critical header that is not understood, and
// keys bound to the algorithms of their type. One exception lies in ECDSA: with the
// signature (r, s) goes (r, n-s), which anybody can compute. So the text of a token
// does not identify it; its jti does.
//
// It knows no HTTP, no mesh, no file and no clock: times are passed in. Texts of
// failures are those of Envoy's jwt_authn filter; see Kind. docs/design/0004-tokens.md
// says why it is as strict as it is.
package jose
