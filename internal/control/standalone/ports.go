package standalone

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"github.com/usher-mesh/usher/internal/home"
)

// ports of a home: chosen free once, kept in ports.json.
type ports struct {
	API    uint16 `json:"api"`
	XDS    uint16 `json:"xds"`
	CA     uint16 `json:"ca"`
	Mirror uint16 `json:"mirror"`
	Issuer uint16 `json:"issuer"`
	// GatewayBind is the address of the gateway; Gateway maps ports of Gateway
	// objects to ports of the machine.
	GatewayBind netip.Addr        `json:"gatewayBind"`
	Gateway     map[uint16]uint16 `json:"gateway"`
}

// listeners are open on the control plane's ports, all on 127.0.0.1.
type listeners struct {
	api, xds, ca, mirror, issuer net.Listener
}

func (l *listeners) close() {
	for _, x := range []net.Listener{l.api, l.xds, l.ca, l.mirror, l.issuer} {
		if x != nil {
			x.Close()
		}
	}
}

func readPorts(h home.Dir) (*ports, error) {
	p := &ports{}
	data, err := os.ReadFile(h.Ports())
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("%s: %w (delete the file to choose new ports)", h.Ports(), err)
	}
	return p, nil
}

// listen opens the ports, chooses those that are 0, and keeps the choice.
func (p *ports) listen(h home.Dir) (*listeners, error) {
	l := &listeners{}
	for _, e := range []struct {
		what string
		port *uint16
		to   *net.Listener
	}{
		{"API", &p.API, &l.api}, {"xDS", &p.XDS, &l.xds}, {"CA", &p.CA, &l.ca},
		{"mirror", &p.Mirror, &l.mirror}, {"issuer", &p.Issuer, &l.issuer},
	} {
		x, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(*e.port))))
		if err != nil {
			l.close()
			if errors.Is(err, syscall.EADDRINUSE) {
				return nil, fmt.Errorf("port 127.0.0.1:%d, the %s's of this home, is taken by another process: "+
					"stop it, or choose another (--api-port, or delete %s)", *e.port, e.what, h.Ports())
			}
			return nil, fmt.Errorf("port of the %s: %w", e.what, err)
		}
		*e.port = uint16(x.Addr().(*net.TCPAddr).Port)
		*e.to = x
	}
	if err := writeJSON(h.Ports(), p); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// freePorts replaces port 0 of the gateway's map by free ones, and says which
// port is taken by somebody else.
func freePorts(bind string, m map[uint16]uint16) error {
	for from, to := range m {
		l, err := net.Listen("tcp", net.JoinHostPort(bind, strconv.Itoa(int(to))))
		if err != nil {
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("gateway port %s is taken by another process: stop it, or choose another with "+
					"--gateway-port %d=PORT (0: a free one)", net.JoinHostPort(bind, strconv.Itoa(int(to))), from)
			}
			return fmt.Errorf("gateway port %d=%d: %w", from, to, err)
		}
		m[from] = uint16(l.Addr().(*net.TCPAddr).Port)
		l.Close()
	}
	return nil
}
