// Package apiserver is the Kubernetes-style API of a mesh on one machine: an
// embedded etcd and one generic API server that serves the custom resources it is
// given, and of the built-in kinds those that a mesh reads (Namespace, Service,
// Secret, ConfigMap, ServiceAccount, Event, EndpointSlice), so that the real
// kubectl takes it for a cluster.
//
// It owns storage, authentication, authorization, admission, service account
// tokens and the certificates of the API itself. It must not know what the custom
// resources mean: their schemas and their validation are handed in by Options.
// Everything else talks to it over its HTTPS port, as it would in a cluster.
package apiserver
