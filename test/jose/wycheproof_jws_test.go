package jose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/usher-mesh/usher/internal/jose"
)

// otherwise are the vectors of JWS files on which we say the opposite of what the
// file says, with the reason.
var otherwise = []struct {
	file, comment string
	ids           []int
	reason        string
}{
	{"json_web_signature", "emptyPayload", []int{259, 264, 268, 272, 320, 325}, "refused: an empty payload cannot be told from a detached one"},
	{"json_web_signature", "Figure20", []int{346, 350}, "refused: the key is bound to PS256, the signature is PS384's"},
	{"json_web_signature", "Figure27", []int{347, 351}, "refused: the key is bound to ES521, which is no algorithm"},
	{"json_web_signature", "InvalidCharacterInsertedInHeader", []int{372}, "refused: the character is none of base64url's"},
	{"json_web_signature", "InvalidCharacterInsertedInPayload", []int{373}, "refused: the character is none of base64url's"},
	{"json_web_signature", "invalidBase64Padding", []int{367}, "taken: its text is that of 357, which is valid"},
	{"json_web_signature", "invalidBase64PaddingInPayload", []int{370}, "taken: its text is that of 357, which is valid"},
	{"json_web_key", "rejectsValid", []int{1}, "taken: a set may hold keys of several types, each bound to its own"},
	{"json_web_key", "rejectsDuplicateKid", []int{4}, "taken: keys may share a kid (RFC 7517, 4.5), each is tried"},
	{"json_web_crypto", "rejectsValid", []int{47}, "taken: a set may hold keys of several types, each bound to its own"},
	{"json_web_crypto", "acceptsValid", []int{50, 67}, "refused: a JWE"},
}

func TestWycheproofJWS(t *testing.T) {
	for _, name := range []string{"json_web_signature", "json_web_key", "json_web_crypto"} {
		v := readVectors(t, name+"_test.json")
		ran, taken, differ := 0, 0, 0
		for _, g := range v.TestGroups {
			keys, _ := jose.ParseKeySet(asKeySet(g)) // a set without usable keys refuses all
			for _, test := range g.Tests {
				ran++
				err := verifyJWS(keys, test)
				if err == nil {
					taken++
				}
				want := test.Result == "valid"
				for _, o := range otherwise {
					if o.file == name && o.comment == test.Comment && slices.Contains(o.ids, test.TcID) {
						differ++
						want = !want
					}
				}
				if (err == nil) != want {
					t.Errorf("%s %d (%s, %s, group %s): %v", name, test.TcID, test.Comment, test.Result, g.Comment, err)
				}
			}
		}
		if ran != v.NumberOfTests {
			t.Errorf("%s: %d of %d ran", name, ran, v.NumberOfTests)
		}
		for _, o := range otherwise {
			if o.file == name {
				differ -= len(o.ids)
			}
		}
		if differ != 0 {
			t.Errorf("%s: vectors of the list above are not in the file", name)
		}
		t.Logf("%s: %d ran, %d taken", name, ran, taken)
	}
}

// asKeySet gives the key of a group, or its keys, as a set.
func asKeySet(g vectorGroup) []byte {
	k := g.Public
	if k == nil {
		k = g.Private // of an oct key, or of a JWE
	}
	if bytes.Contains(k, []byte(`"keys"`)) {
		return k
	}
	return fmt.Appendf(nil, `{"keys":[%s]}`, k)
}

func verifyJWS(keys *jose.KeySet, test vector) error {
	text := test.JWS
	if text == nil {
		text = test.JWE
	}
	var compact string
	if json.Unmarshal(text, &compact) != nil {
		compact = string(text) // the JSON form
	}
	j, err := jose.ParseJWS(compact, 0)
	if err != nil {
		return err
	}
	_, err = keys.VerifyJWS(j)
	return err
}
