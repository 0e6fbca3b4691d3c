// Package lb chooses one of a list of endpoints, as Envoy's load balancing policies
// do, and how load is shared between priorities. It knows weights, keys and how busy
// an endpoint is; it knows no address, connection or configuration message.
package lb
