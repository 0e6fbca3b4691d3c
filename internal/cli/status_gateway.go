package cli

import (
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/usher-mesh/usher/internal/workload"
)

// gatewayAddresses tells where each port of the gateway is bound.
func gatewayAddresses(l *workload.Local) map[string]string {
	m := map[string]string{}
	for port, at := range l.Spec.GatewayPorts {
		m[strconv.Itoa(int(port))] = net.JoinHostPort(l.Spec.GatewayBind, strconv.Itoa(int(at)))
	}
	return m
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
