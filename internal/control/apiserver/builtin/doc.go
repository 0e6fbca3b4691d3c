// Package builtin serves the built-in kinds of Kubernetes that a mesh reads: core/v1
// Namespace, Service, Secret, ConfigMap, ServiceAccount and Event, and
// discovery.k8s.io/v1 EndpointSlice. What Kubernetes keeps in its main repository
// and publishes in no module is here in the measure that these kinds need it:
// defaults, validation, cluster addresses, table columns, field selectors,
// namespaces that end.
//
// It owns a scheme and a registry store a kind. It must not know of custom resources,
// authentication or the mesh.
package builtin
