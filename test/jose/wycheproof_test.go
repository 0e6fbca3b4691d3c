package jose

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/usher-mesh/usher/internal/jose"
)

// vectors is a file of Wycheproof (github.com/c2sp/wycheproof, testvectors_v1,
// Apache-2.0), with what groups and tests of all types have.
type vectors struct {
	NumberOfTests int
	TestGroups    []vectorGroup
}

type vectorGroup struct {
	Comment              string
	Sha, MgfSha          string
	SLen                 int // of the salt, in bytes
	TagSize              int // of an HMAC, in bits
	PublicKeyPem, KeyPem string
	Public, Private      json.RawMessage // of JWS files: a JWK or a set of them
	Tests                []vector
}

type vector struct {
	TcID               int
	Comment, Result    string
	Flags              []string
	Msg, Sig, Key, Tag hexBytes
	JWS, JWE           json.RawMessage
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

func readVectors(t *testing.T, name string) vectors {
	t.Helper()
	b, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// families are kinds of signatures: a pattern of files and, by the digest that a
// group names or else by the file, the algorithm that its vectors are for.
var families = []struct {
	files      string
	algorithms map[string]jose.Algorithm
}{
	{"rsa_signature_*_test.json", map[string]jose.Algorithm{"SHA-256": "RS256", "SHA-384": "RS384", "SHA-512": "RS512"}},
	{"rsa_pkcs1_*_sig_gen_test.json", map[string]jose.Algorithm{"SHA-256": "RS256", "SHA-384": "RS384", "SHA-512": "RS512"}},
	{"rsa_pss_*_test.json", map[string]jose.Algorithm{"SHA-256": "PS256", "SHA-384": "PS384", "SHA-512": "PS512"}},
	{"ecdsa_secp256r1_*_p1363_test.json", map[string]jose.Algorithm{"SHA-256": "ES256"}},
	{"ecdsa_secp384r1_*_p1363_test.json", map[string]jose.Algorithm{"SHA-384": "ES384"}},
	{"ecdsa_secp521r1_*_p1363_test.json", map[string]jose.Algorithm{"SHA-512": "ES512"}},
	{"ecdsa_secp256k1_*_p1363_test.json", nil},
	{"ed25519_test.json", map[string]jose.Algorithm{"ed25519_test.json": "EdDSA"}},
	{"hmac_sha*_test.json", map[string]jose.Algorithm{
		"hmac_sha256_test.json": "HS256", "hmac_sha384_test.json": "HS384", "hmac_sha512_test.json": "HS512"}},
}

// TestWycheproof: a valid vector is taken by the algorithm that it is for, unless
// unfit says why a JWS must not have it, and by no other algorithm. An invalid one
// is refused by the algorithm that its file is for (it may be good for another: that
// is what is wrong with it); where JWA has none, it is left out.
func TestWycheproof(t *testing.T) {
	for _, f := range families {
		t.Run(f.files, func(t *testing.T) {
			files, err := fs.Glob(wycheproof.TestVectors, f.files)
			if err != nil || len(files) == 0 {
				t.Fatal("no files", err)
			}
			for _, file := range files {
				v, c := readVectors(t, file), count{refused: map[string]int{}}
				for _, g := range v.TestGroups {
					c.group(t, file, g, f.algorithms[cmp.Or(g.Sha, file)])
				}
				if c.ran+c.left != v.NumberOfTests {
					t.Errorf("%s: %d and %d of %d vectors", file, c.ran, c.left, v.NumberOfTests)
				}
				t.Logf("%s: %s", file, c)
			}
		})
	}
}

// rightForUs are vectors that are invalid in their file only.
var rightForUs = map[string]string{
	"rsa_pss_2048_sha256_mgf1_0_test.json 69": "the salt has 32 bytes, not 0 as the file wants, but PS256 wants 32",
}

// count is what became of the vectors of a file.
type count struct {
	ran, taken, left int
	refused          map[string]int // valid ones that are refused, by reason
}

func (c count) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ran, %d taken", c.ran, c.taken)
	if c.left > 0 {
		fmt.Fprintf(&b, "; %d invalid ones left out", c.left)
	}
	for _, r := range slices.Sorted(maps.Keys(c.refused)) {
		fmt.Fprintf(&b, "; %d valid ones refused: %s", c.refused[r], r)
	}
	return b.String()
}

// group runs the vectors of a group that is for alg, "" if JWA has none for it.
func (c *count) group(t *testing.T, file string, g vectorGroup, alg jose.Algorithm) {
	key, unfit := g.key(t, file, alg)
	for _, v := range g.Tests {
		if alg == "" && v.Result == "invalid" {
			c.left++
			continue
		}
		c.ran++
		reason := cmp.Or(unfit, v.unfit(alg))
		if v.Key != nil {
			key, _ = jose.NewKey("", "", []byte(v.Key))
		}
		want := v.Result != "invalid" && reason == ""
		if rightForUs[fmt.Sprint(file, " ", v.TcID)] != "" {
			want = true
		}
		for a := range algorithms {
			if a != alg && v.Result == "invalid" {
				continue
			}
			taken := key != nil && key.Verify(a, string(v.Msg), slices.Concat(v.Sig, v.Tag))
			if taken != (want && a == alg) {
				t.Errorf("%s %d (%s, %s): %s says %v", file, v.TcID, v.Comment, v.Result, a, taken)
			}
			if taken {
				c.taken++
			}
		}
		if v.Result != "invalid" && reason != "" {
			c.refused[reason]++
		}
	}
}

// key is the public key of a group, nil if there is none or it is refused, and why
// valid signatures of this group are not for a JWS, "" if they are.
func (g vectorGroup) key(t *testing.T, file string, alg jose.Algorithm) (*jose.Key, string) {
	size := 0
	if h := algorithms[alg]; h != 0 {
		size = h.Size()
	}
	var key *jose.Key
	if p := cmp.Or(g.PublicKeyPem, g.KeyPem); p != "" {
		keys, err := jose.ParsePEM([]byte(p))
		switch {
		case err == nil:
			key = keys[0]
		case strings.Contains(err.Error(), "bits, fewer than 2048"):
			return nil, "an RSA key of fewer than 2048 bits"
		case strings.Contains(file, "secp256k1"), strings.Contains(file, "_params_"):
			return nil, "JWA has no such key"
		default:
			t.Errorf("%s: a key is refused: %v", file, err)
		}
	}
	switch {
	case alg == "":
		return key, "JWA has no algorithm with this digest"
	case alg[:2] == "PS" && g.MgfSha != g.Sha:
		return key, "a mask made with another digest (RFC 7518, 3.5)"
	case alg[:2] == "PS" && g.SLen != size:
		return key, "a salt not as long as the digest (RFC 7518, 3.5)"
	case alg[:2] == "HS" && g.TagSize != 8*size:
		return key, "a tag that is cut (RFC 7518, 3.2)"
	}
	return key, ""
}

// unfit is why a vector that the primitive takes is not for a JWS, or "".
func (v vector) unfit(alg jose.Algorithm) string {
	switch {
	case slices.Contains(v.Flags, "MissingNull"):
		return "a DigestInfo without NULL (RFC 8017, 9.2)"
	case alg != "" && v.Key != nil && len(v.Key) < algorithms[alg].Size():
		return "a secret shorter than the digest (RFC 7518, 3.2)"
	}
	return ""
}
