// Package h2spec holds usher-proxy against h2spec, the conformance tests of HTTP/2 and
// HPACK. It is a module of its own, so that the proxy does not depend on them.
package h2spec
