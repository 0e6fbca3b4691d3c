// Package routing holds usher-proxy's route tables, header mutations and RBAC against
// a real Envoy's: both get one bootstrap file of random tables and the same random
// requests, and must answer alike and tell the upstream the same. Every difference has
// a reason.
package routing
