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
