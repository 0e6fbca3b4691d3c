package translate

import (
	"crypto/rsa"
	"encoding/json"
	"net/netip"
	"net/url"
	"sort"
	"strconv"

	"github.com/go-jose/go-jose/v4"

	"github.com/usher-mesh/usher/internal/mesh"
)

// keySet is a set that an object names.
type keySet struct {
	uri, issuer string
	discovery   bool
}

// maxURI bounds a URI of keys, since it becomes a part of another.
const maxURI = 2048

func checkURI(uri, path string, v *verdict) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(uri) > maxURI {
		v.refuse(reasonInvalid, "%s: must be an http or https URL without user information", path)
		return false
	}
	return true
}

// checkKeys refuses a key set without any key that could verify a token, and
// warns of keys that are left out.
func checkKeys(text, path string, v *verdict) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		v.refuse(reasonInvalid, "%s: not a JSON key set", path)
		return
	}
	good := 0
	for i, raw := range set.Keys {
		if why := keyFault(raw); why != "" {
			v.warn("%s: key %d is not used: %s", path, i, why)
			continue
		}
		good++
	}
	if good == 0 {
		v.refuse(reasonInvalid, "%s: no usable key in the set", path)
	}
}

// keyFault says why a key cannot be used, or "". It never repeats the key.
func keyFault(raw json.RawMessage) string {
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(raw); err != nil {
		return "it cannot be read"
	}
	switch {
	case !k.Valid():
		return "it is not valid"
	case k.Use == "enc":
		return "it is for encryption"
	}
	if r, ok := k.Key.(*rsa.PublicKey); ok && r.N.BitLen() < 2048 {
		return "RSA keys need 2048 bits"
	}
	return ""
}

// listKeySets gathers every key set outside the objects, for the mirror.
func (p *pass) listKeySets() {
	owners := map[keySet][]mesh.Ref{}
	for _, r := range p.guards.requests {
		for _, k := range r.keySets {
			owners[k] = append(owners[k], r.ref)
		}
	}
	for _, r := range p.guards.policies {
		for _, k := range r.keySets {
			owners[k] = append(owners[k], r.ref)
		}
	}
	for k, refs := range owners {
		ks := mesh.KeySet{URI: k.uri, Discovery: k.discovery, Issuer: k.issuer, Owners: unique(sortRefs(refs))}
		ks.MeshEndpoints, ks.MeshService = p.endpointsOf(k.uri)
		p.out.KeySets = append(p.out.KeySets, ks)
	}
	sort.Slice(p.out.KeySets, func(i, j int) bool {
		a, b := p.out.KeySets[i], p.out.KeySets[j]
		if a.URI != b.URI {
			return a.URI < b.URI
		}
		return !a.Discovery && b.Discovery
	})
}

// endpointsOf finds the addresses behind a URI whose host is a service of the
// mesh. Only full names and name.namespace count: a URI belongs to no namespace.
func (p *pass) endpointsOf(uri string) ([]netip.AddrPort, bool) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, false
	}
	host := p.names.resolve(u.Hostname(), "")
	s := p.out.Service(host)
	if s == nil {
		return nil, false
	}
	port := uint16(80)
	if u.Scheme == "https" {
		port = 443
	}
	if u.Port() != "" {
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return nil, true
		}
		port = uint16(n)
	}
	if i := s.Port(port); i >= 0 {
		return s.Addresses(i), true
	}
	return nil, true
}

func unique(refs []mesh.Ref) []mesh.Ref {
	out := refs[:0]
	for i, r := range refs {
		if i == 0 || r != refs[i-1] {
			out = append(out, r)
		}
	}
	return out
}
