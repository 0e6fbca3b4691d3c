// Package v1alpha1 has the Go types of authentication.istio.io/v1alpha1 as Istio
// 1.1 defined them: Policy and MeshPolicy. Objects may name their fields in camel
// case or in the snake case of Istio's protobuf; the types read both and write camel
// case. What the fields mean is told here, what they do is package translate's.
//
// Source: istio.io/api 1.1, authentication/v1alpha1/policy.proto.
package v1alpha1
