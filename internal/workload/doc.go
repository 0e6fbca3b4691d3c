// Package workload knows what a local workload is on one machine: how it is
// described, which address and ports it gets, which objects stand for it in the
// API, and how its supervisor is started, found and stopped. What the supervisor
// does is internal/proxy/supervise's business; when a workload is started is
// that of the command line and of the local agent.
package workload
