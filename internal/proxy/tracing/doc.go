// Package tracing makes spans of requests and sends them to a collector of OpenTelemetry or
// Zipkin: which requests are traced, the context that goes on with them (W3C Trace Context
// or B3), tags and names as in Envoy. It owns no request and delays none. Values that a token was read
// from never reach a span.
package tracing
