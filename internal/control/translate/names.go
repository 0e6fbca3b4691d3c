package translate

import (
	"sort"
	"strings"
)

// names are the full host names of all services.
type names struct{ known map[string]bool }

func (p *pass) readNames(hosts []string) {
	sort.Strings(hosts)
	p.names = p.Translator.names.Get("", []any{strings.Join(hosts, " ")}, func() *names {
		return &names{known: set(hosts...)}
	})
}

func hostname(name, namespace string) string { return name + "." + namespace + "." + domain }

// mayBeShort tells whether what a host means depends on which services there
// are: "preference.tutorial" may be a service or somebody's domain.
func mayBeShort(host string) bool {
	n := strings.Count(host, ".")
	return n == 1 || n == 2 && strings.HasSuffix(host, ".svc")
}

// resolve gives the full name of a host that an object of the namespace names.
func (n *names) resolve(host, namespace string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case host == "" || strings.HasPrefix(host, "*"):
		return host
	case !strings.Contains(host, "."):
		return hostname(host, namespace)
	case mayBeShort(host):
		if full := strings.TrimSuffix(host, ".svc") + "." + domain; n.known[full] {
			return full
		}
	}
	return host
}
