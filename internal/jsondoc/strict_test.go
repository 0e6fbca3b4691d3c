package jsondoc

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// What is one character away from JSON is refused, wherever it stands.
func TestNearJSON(t *testing.T) {
	for _, doc := range []string{
		``, ` `, `{`, `[]`, `"a"`, `{}{}`, `{} x`, "{}\x00", "\ufeff{}", "{\f}", "{\u00a0}", `{,}`, `{"a"}`, `{"a" 1}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`,
		`{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[1}`, `{"a":[1}]`, `{"a":{"b":1]}`,
		`{"a":tru}`, `{"a":True}`, `{"a":nul}`, `{"a":NaN}`, `{"a":truex}`,
		`{"a":01}`, `{"a":-}`, `{"a":-01}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":1.e1}`, `{"a":1e}`, `{"a":1e+}`, `{"a":1e+-1}`, `{"a":0x1}`, `{"a":1_0}`,
		`{"a":1e309}`, `{"a":-1e309}`, `{"a":` + strings.Repeat("9", 310) + `}`,
		"{\"a\":\"\x00\"}", "{\"a\":\"\x1f\"}", "{\"a\":\"\\n\x1f\"}", "{\"a\":\"\\n\n\"}", "{\"\x1f\":1}", "{\"a\":\"\xff\"}", "{\"\xc0\x80\":1}", "{\"a\":\"\xed\xa0\x80\"}",
		`{"a":"\'"}`, `{"a":"\x41"}`, `{"a":"\u00g0"}`, `{"a":"\u00e"}`, `{"a":"\u+0e9"}`, `{"a":"\`, `{"a":"\u`, `{"a":"b`, `{"a":"\"}`,
		`{"a":"\ud800"}`, `{"a":"\udc00"}`, `{"a":"\udc00\ud800"}`, `{"a":"\ud800\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":"\ud800x"}`, `{"\ud800":1}`,
	} {
		if v, err := Parse(doc); err == nil {
			t.Errorf("%.60q is taken: %s", doc, v.JSON())
		}
	}
	if v, err := Parse("\t{\r\n\"\\u0000\\/\\\"\\b\\f\\n\\r\\t\\ud83d\\ude00\x7f\" : -0.0E-0 } "); err != nil || v.Get("\x00/\"\b\f\n\r\t😀\x7f").JSON() != "-0.0E-0" {
		t.Error(v, err)
	}
}

// Repeated names are found at every place of objects of every size, and those that
// are no members of the same object do not count.
func TestRepeatedNames(t *testing.T) {
	for _, size := range []int{2, few - 1, few, few + 1, few + 2, 2 * few} {
		for again := 1; again < size; again++ {
			var l []string
			for i := range size {
				l = append(l, fmt.Sprintf(`"%c":{"%c":0,"%c":0}`, 'あ'+i, 'あ'+(i+1)%size, 'あ'+(i+2)%size))
			}
			if _, err := Parse("{" + strings.Join(l, ",") + "}"); err != nil {
				t.Fatalf("%d members: %v", size, err)
			}
			for _, first := range []int{0, again / 2, again - 1} {
				l[again] = fmt.Sprintf(`"\u%04x":0`, 'あ'+first)
				if _, err := Parse("{" + strings.Join(l, ",") + "}"); err == nil {
					t.Fatalf("%d members: the one at %d is that at %d, and it is taken", size, again, first)
				}
			}
		}
	}
}

// Names of what a member holds are no names of its object, even where they meet in
// the filter.
func TestNamesBelow(t *testing.T) {
	v, err := Parse(`{"axbyc":{"azbwc":1},"azbwc":2}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Get("azbwc").JSON(); got != "2" {
		t.Error(got)
	}
}

// Size is what bounds the memory of caches.
func TestBytes(t *testing.T) {
	if got := unsafe.Sizeof(node{}); got != nodeSize {
		t.Errorf("a node has %d bytes", got)
	}
	v, err := Parse(`{"name":"text"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.Bytes(), cap(v)*nodeSize+len("name")+len("text"); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// Who gets a part cannot reach what stands behind it.
func TestPartsAreClosed(t *testing.T) {
	v, err := Parse(`{"a":{"b":[1]},"c":"d"}`)
	if err != nil {
		t.Fatal(err)
	}
	if a := v.Get("a"); cap(a) != 3 || a.Get("c") != nil || a.JSON() != `{"b":[1]}` {
		t.Error(cap(a), a.JSON())
	}
	for name, e := range v.All() {
		if cap(e) != int(e[0].size) {
			t.Errorf("%s has room for %d nodes", name, cap(e))
		}
	}
}
