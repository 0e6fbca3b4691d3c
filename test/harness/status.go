package harness

import (
	"encoding/json"
	"net"
	"strconv"
	"testing"
)

// Workload is an entry of `usher status -o json`.
type Workload struct {
	Name, Namespace, Service, Version, State string
	PID                                      int
	Addresses                                struct {
		App, Inbound    []string
		Outbound, Admin string
	}
	Config struct {
		Version string
		Acked   bool
	}
	Gateway map[string]string
}

// Status gives all workloads by namespace/name.
func (m *Mesh) Status() map[string]Workload {
	m.T.Helper()
	var list []Workload
	if err := json.Unmarshal([]byte(m.Usher("status", "-o", "json")), &list); err != nil {
		m.T.Fatal(err)
	}
	all := make(map[string]Workload, len(list))
	for _, w := range list {
		all[w.Namespace+"/"+w.Name] = w
	}
	return all
}

// Port is the number in host:port.
func Port(t testing.TB, addr string) int {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
