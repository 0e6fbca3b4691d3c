// Package standalone is the mesh on one machine: the process of `usher up`. It
// owns the order in which API server and control plane start and end, what the
// mesh begins with, and the local agent, which does here what a kubelet does in a
// cluster: it starts the gateway, watches over supervisors and keeps their tokens
// fresh. The parts themselves know nothing of it.
package standalone
