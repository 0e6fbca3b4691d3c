package jose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

// Bounds of a key set document.
const (
	// MaxKeySetSize is in bytes.
	MaxKeySetSize = 1 << 20
	maxKeys       = 1000
)

// KeySet is an immutable JSON Web Key Set (RFC 7517, 5): the keys that can verify
// a token, in their order, and what was wrong with the others. It is safe for
// concurrent use.
type KeySet struct {
	keys    []*Key
	byKID   map[string][]*Key // those of this kid and those without one, in order
	noKID   []*Key
	prints  map[[32]byte]bool
	skipped []Skipped
}

// Skipped is a key of a set that is not used, and why. It holds no key material.
type Skipped struct {
	Index  int    // place in the "keys" array, from 0
	KID    string // "" if it has none
	Reason string // such as "RSA modulus has 1024 bits, fewer than 2048"
}

// ParseKeySet reads a JWK set of at most MaxKeySetSize bytes and 1,000 keys. A
// key that cannot be used is skipped with its reason; a set in which all are is
// an error of kind NoValidKeys that names the first reason. The set itself is
// returned with that error too, for its Skipped. A document without "keys" whose
// members are all PEM certificates by kid (as Google publishes) is read too.
// Errors are *Error: KeySetJSON, KeySetNoKeys, KeySetBadKeys, NoValidKeys.
func ParseKeySet(data []byte) (*KeySet, error) {
	if len(data) > MaxKeySetSize {
		return nil, failf(KeySetJSON, "it has %d bytes, more than %d", len(data), MaxKeySetSize)
	}
	doc, err := jsondoc.Parse(strings.TrimPrefix(string(data), "\ufeff"))
	if err != nil {
		return nil, fail(KeySetJSON, err.Error())
	}
	list := doc.Get("keys")
	if list == nil {
		return parseCertificates(doc)
	}
	if list.Kind() != jsondoc.Array {
		return nil, fail(KeySetBadKeys, "")
	}
	if n := list.Len(); n > maxKeys {
		return nil, failf(KeySetBadKeys, "it has %d keys, more than %d", n, maxKeys)
	}
	var keys []*Key
	var skipped []Skipped
	i := -1
	for _, m := range list.All() {
		i++
		if m.Kind() != jsondoc.Object {
			skipped = append(skipped, Skipped{Index: i, Reason: "not an object"})
			continue
		}
		k, err := parseJWK(m)
		if err != nil {
			kid, _ := m.Get("kid").Text()
			skipped = append(skipped, Skipped{Index: i, KID: kid, Reason: err.Error()})
			continue
		}
		keys = append(keys, k)
	}
	return newKeySet(keys, skipped)
}

// parseCertificates reads {"<kid>": "<PEM certificate>", ...}.
func parseCertificates(doc jsondoc.Value) (*KeySet, error) {
	if n := doc.Len(); n == 0 || n > maxKeys {
		return nil, fail(KeySetNoKeys, "")
	}
	certificates := maps.Collect(doc.All())
	var keys []*Key
	var skipped []Skipped
	for i, kid := range slices.Sorted(maps.Keys(certificates)) {
		s, ok := certificates[kid].Text()
		if !ok || !strings.Contains(s, "-----BEGIN CERTIFICATE-----") {
			return nil, fail(KeySetNoKeys, "")
		}
		k, err := certificateKey(kid, s)
		if err != nil {
			skipped = append(skipped, Skipped{Index: i, KID: kid, Reason: err.Error()})
			continue
		}
		keys = append(keys, k)
	}
	return newKeySet(keys, skipped)
}

// NewKeySet makes a set of keys that were made one by one, such as by ParsePEM.
func NewKeySet(keys ...*Key) *KeySet {
	s, _ := newKeySet(keys, nil)
	return s
}

func newKeySet(keys []*Key, skipped []Skipped) (*KeySet, error) {
	s := &KeySet{
		keys: keys, skipped: skipped,
		byKID: make(map[string][]*Key), prints: make(map[[32]byte]bool, len(keys)),
	}
	for _, k := range keys {
		s.prints[k.print] = true
		if k.kid == "" {
			s.noKID = append(s.noKID, k)
		} else {
			s.byKID[k.kid] = nil
		}
	}
	for kid := range s.byKID {
		for _, k := range keys {
			if k.kid == "" || k.kid == kid {
				s.byKID[kid] = append(s.byKID[kid], k)
			}
		}
	}
	if len(keys) > 0 {
		return s, nil
	}
	if len(skipped) > 0 {
		return s, failf(NoValidKeys, "key %d of %d: %s", skipped[0].Index+1, len(skipped), skipped[0].Reason)
	}
	return s, fail(NoValidKeys, "it has no keys")
}

// String names the keys, a few of them if there are many. It shows no secret.
func (s *KeySet) String() string {
	return fmt.Sprintf("%d keys: %s", len(s.keys), listed(s.keys, (*Key).String))
}

// Keys gives the usable keys in the order of the document. The slice is shared.
func (s *KeySet) Keys() []*Key { return s.keys }

// Len counts the usable keys.
func (s *KeySet) Len() int { return len(s.keys) }

// Skipped gives the keys that are not used; each is worth a warning.
func (s *KeySet) Skipped() []Skipped { return s.skipped }

// Has tells whether a usable key has this key ID.
func (s *KeySet) Has(kid string) bool { _, ok := s.byKID[kid]; return ok }

// Contains tells whether this very key (kid, alg, type and material) is in the set.
func (s *KeySet) Contains(k *Key) bool { return s.prints[k.print] }

// HasSecret tells whether a usable key is symmetric ("oct"): such a set must not
// come from the network, and must not be shown.
func (s *KeySet) HasSecret() bool {
	return slices.ContainsFunc(s.keys, func(k *Key) bool { return k.kty == typeOct })
}

// candidates are the keys that a token with this kid may be signed by: a token
// without kid, or a key without kid, matches.
func (s *KeySet) candidates(kid string) []*Key {
	if kid == "" {
		return s.keys
	}
	if l, ok := s.byKID[kid]; ok {
		return l
	}
	return s.noKID
}
