// Package jwtauthn is the filter that lets requests pass by their JSON Web
// Tokens, configured by Envoy's JwtAuthentication message and with Envoy's
// answers. It finds tokens in a request, picks what is required of it, and writes
// what a good token says into headers and metadata. What a good token is, package
// jose knows; where remote keys come from, whoever implements KeySets.
//
// Where it differs from Envoy, it refuses more: the whole list stands in
// docs/design of the project, the reasons beside the code.
package jwtauthn
