// Package jwtauthn is the filter that lets requests pass by their JSON Web
// Tokens, configured by Envoy's JwtAuthentication message and with Envoy's
// answers. It finds tokens in a request, picks what is required of it, and writes
// what a good token says into headers and metadata. What a good token is, package
// jose knows; where remote keys come from, whoever implements KeySets.
//
// Where it differs from Envoy on purpose:
//   - tokens are read strictly (package jose), a header's prefix stands at the start
//     of its value, and the scheme of Authorization may be in any case;
//   - every value of a parameter or cookie is a token to judge, not the first alone;
//   - beside allow_missing no good token lets a bad one through;
//   - beside a token that is taken out of the query, other parameters stay byte for
//     byte;
//   - the challenge's realm has no query and is a proper quoted-string;
//   - claims to headers: numbers as JSON has them, lists and objects too.
package jwtauthn
