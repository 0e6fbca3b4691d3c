package workload

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Port is one port of the workload's Service.
type Port struct {
	Name    string // its prefix is the protocol, as in Istio
	Port    uint16 // the Service's
	AppPort uint16 // where the command listens; 0: a free one is chosen
}

// Protocol is what the port's name says before its first dash.
func (p Port) Protocol() string {
	proto, _, _ := strings.Cut(p.Name, "-")
	return proto
}

const defaultPort = 8080

// parsePorts reads `[NAME=]P[:APPPORT]` and "none". Protocol names the single
// port that has no name.
func parsePorts(specs []string, protocol string) ([]Port, error) {
	if len(specs) == 0 {
		specs = []string{strconv.Itoa(defaultPort)}
	}
	if len(specs) == 1 && specs[0] == "none" {
		return nil, nil
	}
	ports := make([]Port, 0, len(specs))
	names, numbers := map[string]bool{}, map[uint16]bool{}
	for _, s := range specs {
		p, named, err := parsePort(s)
		if err != nil {
			return nil, err
		}
		switch {
		case named:
		case len(specs) > 1:
			return nil, fmt.Errorf("port %q: needs a name (NAME=%s) where there are several", s, s)
		case protocol != "":
			p.Name = protocol
		default:
			p.Name = "http"
		}
		if named && protocol != "" && p.Protocol() != protocol {
			return nil, fmt.Errorf("protocol %q: port %q has a name that says otherwise", protocol, s)
		}
		if names[p.Name] || numbers[p.Port] {
			return nil, fmt.Errorf("port %q: the name or the number is there twice", s)
		}
		names[p.Name], numbers[p.Port] = true, true
		ports = append(ports, p)
	}
	return ports, nil
}

func parsePort(s string) (p Port, named bool, err error) {
	rest := s
	if name, after, ok := strings.Cut(s, "="); ok {
		if errs := validation.IsValidPortName(name); len(errs) > 0 {
			return p, false, fmt.Errorf("port %q: name: %s", s, errs[0])
		}
		p.Name, rest, named = name, after, true
	}
	number, app, hasApp := strings.Cut(rest, ":")
	if p.Port, err = portNumber(number); err != nil {
		return p, false, fmt.Errorf("port %q: %w (the form is [NAME=]PORT[:APPPORT], or none)", s, err)
	}
	if hasApp {
		if p.AppPort, err = portNumber(app); err != nil {
			return p, false, fmt.Errorf("port %q: %w (the form is [NAME=]PORT[:APPPORT], or none)", s, err)
		}
	}
	return p, named, nil
}

func portNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port from 1 to 65535", s)
	}
	return uint16(n), nil
}
