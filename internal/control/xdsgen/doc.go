// Package xdsgen makes Envoy resources from the mesh model, for one proxy at a
// time. It is pure: the same model and proxy give the same bytes. It knows
// nothing of Kubernetes, of connections, or of what a proxy has already.
package xdsgen
