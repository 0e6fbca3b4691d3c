package standalone

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/home"
)

// Up describes the `usher up` that runs on a home, for the other commands. It
// stands in up.json while the mesh is up.
type Up struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	API     string `json:"api"` // https://127.0.0.1:port
	XDS     string `json:"xds"`
	CA      string `json:"ca"`
	Mirror  string `json:"mirror"`
	Issuer  string `json:"issuer"`
	// GatewayBind and Gateway tell where the gateway's ports are bound: port of
	// the Gateway object -> port of the machine.
	GatewayBind string            `json:"gatewayBind"`
	Gateway     map[uint16]uint16 `json:"gateway"`
}

// GatewayAddr is where a client reaches the Gateway's port, "" if it is not
// mapped. A gateway that is bound to all addresses is reached on loopback.
func (u *Up) GatewayAddr(port uint16) string {
	p, ok := u.Gateway[port]
	if !ok {
		return ""
	}
	host := u.GatewayBind
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(p)))
}

// Differs tells whether the mesh has other ports than these options ask for.
func (u *Up) Differs(o Options) bool {
	return o.APIPort != 0 && !strings.HasSuffix(u.API, ":"+strconv.Itoa(int(o.APIPort))) ||
		o.GatewayPorts != nil && !samePorts(u.Gateway, o.GatewayPorts) ||
		o.GatewayBind.IsValid() && o.GatewayBind.String() != u.GatewayBind
}

// ReadUp gives what runs on the home, nil if nothing does or it is still starting.
func ReadUp(h home.Dir) (*Up, error) {
	pid, err := owner(h)
	if err != nil || pid == 0 {
		return nil, err
	}
	data, err := os.ReadFile(h.Up())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var u Up
	if err := json.Unmarshal(data, &u); err != nil {
		return nil, fmt.Errorf("%s: %w", h.Up(), err)
	}
	if u.PID != pid {
		return nil, nil // one that was killed left it
	}
	return &u, nil
}

func (u *Up) write(h home.Dir) error { return writeJSON(h.Up(), u) }

// writeJSON replaces the file in one step, 0600.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(data, '\n'), 0o600)
}
