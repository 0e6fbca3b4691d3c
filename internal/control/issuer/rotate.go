package issuer

import (
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxRetired bounds the old keys of a name.
	maxRetired = 32
	// skew is how long after its exp a token may still be taken.
	skew = time.Minute
)

// retired is the public half of a key that signs no more.
type retired struct {
	Key   jose.JSONWebKey `json:"key"`
	Until int64           `json:"until"` // published until then, in seconds since 1970
}

// Rotated is one key in another's place.
type Rotated struct {
	Alg      string
	New, Old string    // kid
	Until    time.Time // when the old one is published no more; zero: already, since it has no token that lives
}

// Rotate makes new keys for the issuer: for each algorithm that it has one of, or for
// the given one of them. The old ones sign no more, and are published until every
// token that they signed has expired. Errors that lie in the request are ErrRequest.
func (i *Issuer) Rotate(issuer, alg string) ([]Rotated, error) {
	name, err := Name(issuer)
	if err != nil {
		return nil, err
	}
	var out []Rotated
	err = i.change(name, func(f *keyFile) error {
		now := i.now()
		f.forget(now)
		for n, old := range f.Keys {
			if alg != "" && old.Algorithm != alg {
				continue
			}
			k, err := generate(jose.SignatureAlgorithm(old.Algorithm))
			if err != nil {
				return err
			}
			f.Keys[n] = *k
			r := Rotated{Alg: old.Algorithm, New: k.KeyID, Old: old.KeyID}
			if until := time.Unix(f.Expiry[old.KeyID], 0).Add(skew); until.After(now) {
				r.Until = until
				f.Retired = append(f.Retired, retired{old.Public(), until.Unix()})
			}
			delete(f.Expiry, old.KeyID)
			out = append(out, r)
		}
		switch {
		case len(f.Keys) == 0:
			return refuse("issuer %q has no keys: its first token makes them", issuer)
		case len(out) == 0:
			return refuse("issuer %q has no key for %s", issuer, alg)
		case len(f.Retired) > maxRetired:
			return refuse("issuer %q has %d old keys whose tokens have not expired, and may have %d", issuer, len(f.Retired), maxRetired)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, r := range out {
		i.log.Info("issuer key rotated", "issuer", name, "alg", r.Alg, "kid", r.New, "old", r.Old)
	}
	return out, nil
}

// forget drops old keys whose tokens have expired.
func (f *keyFile) forget(now time.Time) {
	f.Retired = slices.DeleteFunc(f.Retired, func(r retired) bool { return now.Unix() >= r.Until })
}
