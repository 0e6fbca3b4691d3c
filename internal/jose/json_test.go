package jose

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzDecodeJSON holds our reader against encoding/json: what ours takes, that
// takes too, with the same meaning.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00\n",true,false,null,{"b":{}}]}`, ` {"a" : 1 , "b":"\/"} `,
		`{"a":1,"a":2}`, `{"a":"\ud800"}`, "{\"\xff\":1}", `{"a":1e999}`, `{"a":-0}`, `[1]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeJSON(b)
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var want map[string]any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%#v, encoding/json has %#v", got, want)
		}
	})
}

// FuzzParse: a token that verifies is the signed one, byte for byte.
func FuzzParse(f *testing.F) {
	keys, good := readKeySet(f), readFile(f, "valid.jwt")
	f.Add(good)
	f.Add(readFile(f, "invalid.jwt"))
	f.Add(readFile(f, "groups-scope.jwt"))
	for i, m := range mutations(good) {
		if i%2001 == 0 {
			f.Add(m)
		}
	}
	signed := map[string]bool{good: true, readFile(f, "groups-scope.jwt"): true}
	f.Fuzz(func(t *testing.T, s string) {
		if judge(keys, s) == OK && !signed[s] {
			t.Errorf("accepted, and nobody signed it: %q", s)
		}
	})
}
