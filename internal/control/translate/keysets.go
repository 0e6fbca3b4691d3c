package translate

import (
	"crypto/rsa"
	"encoding/json"
	"net/netip"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/usher-mesh/usher/internal/mesh"
)

// keySet is a set that an object names, as in mesh.KeySet.
type keySet struct{ uri, issuer string }

// maxURI bounds a URI of keys, since it becomes a part of another.
const maxURI = 2048

// checkURI wants no fragment: that is how issuers of one discovery document are told
// apart.
func checkURI(uri, path string, v *verdict) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(uri, "#") || len(uri) > maxURI {
		v.refuse(reasonInvalid, "%s: must be an http or https URL without user information and fragment", path)
		return false
	}
	return true
}

// discoveryURI is the address of the issuer's discovery document, with the issuer as
// its fragment (OpenID Connect Discovery 1.0, section 4.1).
func discoveryURI(issuer, path string, v *verdict) (string, bool) {
	if !strings.HasPrefix(issuer, "https://") && !strings.HasPrefix(issuer, "http://") {
		v.refuse(reasonInvalid, "%s: jwks or jwksUri must be given, since the issuer %q is no URL that could be asked", path, issuer)
		return "", false
	}
	if strings.Contains(issuer, "?") {
		v.refuse(reasonInvalid, "%s: jwks or jwksUri must be given, since the issuer %q has a query (OpenID Connect Discovery 1.0, 3)", path, issuer)
		return "", false
	}
	doc := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	return doc + "#" + issuer, checkURI(issuer, path+".issuer", v)
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
		ks := mesh.KeySet{URI: k.uri, Issuer: k.issuer, Owners: unique(sortRefs(refs))}
		ks.MeshEndpoints, ks.MeshService = p.endpointsOf(k.uri)
		p.out.KeySets = append(p.out.KeySets, ks)
	}
	sort.Slice(p.out.KeySets, func(i, j int) bool { return p.out.KeySets[i].URI < p.out.KeySets[j].URI })
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
