// Package jwt holds usher-proxy's JWT filter against the one that it stands in
// for: both read the same bootstrap file, both get the same requests, and what the
// client and the upstream see must be equal. exceptions_test.go lists where they
// differ on purpose.
//
//	keys_test.go       the keys that sign, and key sets of them
//	token_test.go      tokens, good and bad
//	world_test.go      listeners: filters, routes, what is asked for
//	cases_*_test.go    the generator of requests, a family a file
//	bootstrap_test.go  the one file
//	peers_test.go      the two programs, and sending requests to them
//	upstream_test.go   what the upstream saw
//	compare_test.go    what must be equal
package jwt
