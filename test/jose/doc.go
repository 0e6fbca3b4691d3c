// Package jose holds internal/jose against other people's work: the test vectors of
// Wycheproof, the verdicts of golang-jwt and go-jose on tokens made to differ, and
// their speed and that of jwx on the same tokens and keys.
//
// It is a module of its own, so that none of these weighs on who installs usher.
package jose
