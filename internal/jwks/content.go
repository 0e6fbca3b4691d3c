package jwks

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
)

// private are the members of a JWK that no published set should have (RFC 7518,
// 6.2.2, 6.3.2, 6.4.1). They are taken out, so that we do not spread them.
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// parse makes a Set of what an issuer answered. One bad key is skipped with a
// warning; a set without any usable key is an error.
func parse(uri string, body []byte, fetched time.Time) (*Set, error) {
	doc, kept, warnings, err := public(body)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("key set cannot be written: %w", err)
	}
	ks, err := jose.ParseKeySet(text)
	if err != nil && jose.KindOf(err) != jose.NoValidKeys {
		return nil, fmt.Errorf("not a key set: %s", clean(err.Error()))
	}
	for _, s := range ks.Skipped() {
		i := s.Index
		if i >= 0 && i < len(kept) {
			i = kept[i]
		}
		warnings = append(warnings, clean(fmt.Sprintf("key %d %q is not used: %s", i, s.KID, s.Reason)))
	}
	switch {
	case ks.Len() == 0 && len(warnings) == 0:
		return nil, errors.New("the key set is empty")
	case ks.Len() == 0:
		return nil, fmt.Errorf("the key set has no usable key: %s", warnings[0])
	case ks.HasSecret():
		return nil, errors.New("the key set has a symmetric key")
	}
	sum := sha256.Sum256(text)
	return &Set{
		URI: uri, Keys: ks, JSON: text, Fetched: fetched, warnings: warnings,
		ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`,
	}, nil
}

// public gives the document less symmetric keys and private members, and the place
// that each of its keys had. One without "keys" is left for package jose to judge:
// certificates by kid, as Google publishes them.
func public(body []byte) (doc map[string]json.RawMessage, kept []int, warnings []string, err error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil, nil, errors.New("the answer is empty, not a key set")
	}
	if body[0] == '<' {
		return nil, nil, nil, errors.New("the answer is HTML or XML, not a key set")
	}
	// Maps, since encoding/json matches the members of structs in any case.
	if err := json.Unmarshal(body, &doc); err != nil || doc == nil {
		return nil, nil, nil, errors.New("the answer is not a JSON object")
	}
	raw, ok := doc["keys"]
	if !ok {
		if len(doc) > MaxKeys {
			return nil, nil, nil, fmt.Errorf("the key set has %d keys, more than %d", len(doc), MaxKeys)
		}
		return doc, nil, nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return nil, nil, nil, errors.New(`"keys" is not a list`)
	}
	if len(list) > MaxKeys {
		return nil, nil, nil, fmt.Errorf("the key set has %d keys, more than %d", len(list), MaxKeys)
	}
	keys, kept, warnings := publicKeys(list)
	if raw, err = json.Marshal(keys); err != nil {
		return nil, nil, nil, errors.New("key set cannot be written")
	}
	return map[string]json.RawMessage{"keys": raw}, kept, warnings, nil
}

// publicKeys leaves out what is no public key, with a warning.
func publicKeys(list []json.RawMessage) (keys []map[string]json.RawMessage, kept []int, warnings []string) {
	keys = []map[string]json.RawMessage{}
	for i, raw := range list {
		var k map[string]json.RawMessage
		if err := json.Unmarshal(raw, &k); err != nil || k == nil {
			warnings = append(warnings, fmt.Sprintf("key %d is not used: not an object", i))
			continue
		}
		var kty string
		if json.Unmarshal(k["kty"], &kty) == nil && kty == "oct" {
			warnings = append(warnings, fmt.Sprintf("key %d is not used: symmetric keys may not come from the network", i))
			continue
		}
		found := false
		for _, m := range private {
			if _, ok := k[m]; ok {
				found = true
				delete(k, m)
			}
		}
		if found {
			warnings = append(warnings, fmt.Sprintf("key %d is published with its private half: whoever read it can sign", i))
		}
		keys, kept = append(keys, k), append(kept, i)
	}
	return keys, kept, warnings
}

// could tells whether the set has a key that may verify a token of this kid: one
// without a kid matches any.
func (s *Set) could(kid string) bool {
	if kid == "" || s.Keys.Has(kid) {
		return true
	}
	for _, k := range s.Keys.Keys() {
		if k.ID() == "" {
			return true
		}
	}
	return false
}

// clean makes text of others fit for a log line or a status: at most 256 bytes,
// one line, printable.
func clean(s string) string {
	const most = 256
	out := make([]rune, 0, most)
	n := 0
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			r = '?'
		}
		if n += len(string(r)); n > most {
			return string(out) + "..."
		}
		out = append(out, r)
	}
	return string(out)
}

// Shown is a set's URI as logs, metrics and statuses have it: without user
// information, and with a digest for a query, which may hold a password.
func Shown(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "(not a URL)"
	}
	u.User = nil
	if u.RawQuery != "" {
		sum := sha256.Sum256([]byte(u.RawQuery))
		u.RawQuery = hex.EncodeToString(sum[:4])
	}
	return clean(u.String())
}
