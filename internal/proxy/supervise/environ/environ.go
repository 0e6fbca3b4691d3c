// Package environ makes the environment of a workload's command: where it listens
// and how its calls go through its sidecar. The supervisor and the command line
// (`usher exec`) share it.
package environ

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// noProxy are the hosts that a command reaches without its sidecar.
const noProxy = "localhost,127.0.0.1,::1"

// proxyNames are the variables that lead a command's calls somewhere.
var proxyNames = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"}

// NotifyEnv names the variable that tells a sidecar the descriptor on which it
// says how it is; no command gets it.
const NotifyEnv = "USHER_NOTIFY_FD"

// For gives the command's environment: base, less proxies of others, then what
// usher says, then what the user says.
func For(s *spec.Spec, base []string) []string {
	env := without(base, append([]string{NotifyEnv}, proxyNames...)...)
	for i, p := range s.Ports {
		_, port, err := net.SplitHostPort(p.App)
		if err != nil {
			continue
		}
		if i == 0 {
			env = append(env, "PORT="+port)
		}
		if len(s.Ports) > 1 {
			env = append(env, "PORT_"+variable(p.Name)+"="+port)
		}
	}
	if s.Hostname != "" {
		env = append(env, "HOSTNAME="+s.Hostname)
	}
	if s.Outbound != "" && !s.NoSidecar {
		u := (&url.URL{Scheme: "http", User: url.UserPassword("usher", s.Credential), Host: s.Outbound}).String()
		for _, n := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
			env = append(env, n+"="+u)
		}
		env = append(env, "NO_PROXY="+noProxy, "no_proxy="+noProxy)
	}
	return append(env, s.Env...)
}

// Sidecar gives the sidecar's own: nothing may lead its calls elsewhere.
func Sidecar(base []string) []string {
	return without(base, append([]string{NotifyEnv}, proxyNames...)...)
}

func without(env []string, names ...string) []string {
	var out []string
	for _, e := range env {
		if n, _, _ := strings.Cut(e, "="); !slices.Contains(names, n) {
			out = append(out, e)
		}
	}
	return out
}

// variable makes a port's name one that a shell can use.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}
