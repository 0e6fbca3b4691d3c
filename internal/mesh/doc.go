// Package mesh is the model that translation produces and generation reads:
// services, workloads, routes, authentication and authorization. It is plain Go:
// it imports neither Kubernetes nor Envoy types, and it is immutable once built.
package mesh
