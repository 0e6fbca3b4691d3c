package jsondoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// FuzzParse holds our reader against encoding/json: what ours takes, that
// takes too, with the same meaning.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00\n",true,false,null,{"b":{}}]}`, ` {"a" : 1 , "b":"\/"} `,
		`{"a":1,"a":2}`, `{"a":"\ud800"}`, "{\"\xff\":1}", `{"a":1e999}`, `{"a":-0}`, `[1]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(string(b))
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var want map[string]any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		if !reflect.DeepEqual(got.Any(), any(want)) {
			t.Fatalf("%#v, encoding/json has %#v", got.Any(), want)
		}
		if again := Of(got.Any()); !reflect.DeepEqual(again.Any(), any(want)) {
			t.Fatalf("%#v, made again %#v", want, again.Any())
		}
		for name, v := range got.All() {
			if !reflect.DeepEqual(got.Get(name), v) {
				t.Fatalf("%q is not found", name)
			}
		}
	})
}

func TestParse(t *testing.T) {
	var many strings.Builder
	for i := range 2 * few {
		fmt.Fprintf(&many, `"m%d":%d,`, i, i)
	}
	for _, c := range []struct{ doc, err string }{
		{`{"a":1,"a":2}`, `byte 12: member "a" is there twice`},
		{`{"a":{"b":[]},"c":{"a":{}},"a":2}`, `member "a" is there twice`},
		{`{"":1,"":2}`, `member "" is there twice`},
		{`{"a":1,"\u0061":2}`, `member "a" is there twice`},
		{`{"b":{"a":1,"a":2}}`, `member "a" is there twice`},
		{`{` + many.String() + `"m0":1}`, `member "m0" is there twice`},
		{`{` + many.String() + fmt.Sprintf(`"m%d":1}`, 2*few-1), "is there twice"},
		{`{"` + strings.Repeat("x", 999) + `":1,"` + strings.Repeat("x", 999) + `":1}`, `member "` + strings.Repeat("x", 64) + `..." is`},
		{`{` + many.String() + `"a":1}`, ""},
		{`{"a":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + `}`, ""},
		{`{"a":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`, "nested deeper than 32"},
		{`{"a":` + strings.Repeat(`{"a":`, maxDepth) + `1` + strings.Repeat("}", maxDepth) + `}`, "nested deeper than 32"},
	} {
		_, err := Parse(c.doc)
		if got := fmt.Sprint(err); (err == nil) != (c.err == "") || err != nil && !strings.Contains(got, c.err) {
			t.Errorf("%.40s: %v, want %s", c.doc, err, c.err)
		}
	}
}

// Names that meet in the filter are compared.
func TestNamesThatMeet(t *testing.T) {
	if sum("abc") != sum("aBbc"[:1]+"b"+"c") || sum("axbyc") != sum("azbwc") {
		t.Fatal("these names do not meet any more")
	}
	if _, err := Parse(`{"axbyc":1,"azbwc":2,"a":{"x":3}}`); err != nil {
		t.Error(err)
	}
	if _, err := Parse(`{"axbyc":1,"azbwc":{"axbyc":1},"azbwc":2}`); err == nil {
		t.Error("a repeated name is taken")
	}
}

func TestValue(t *testing.T) {
	v, err := Parse(`{"s":"a\u00e9","n":1.50,"t":true,"f":false,"z":null,"l":[1,[2],{"s":3}],"o":{"l":[],"s":"<"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := v.Get("s").Text(); !ok || s != "aé" {
		t.Error(s)
	}
	if n, ok := v.Get("n").Number(); !ok || n != "1.50" {
		t.Error(n)
	}
	if b, ok := v.Get("t").Bool(); !ok || !b {
		t.Error(b)
	}
	if b, ok := v.Get("f").Bool(); !ok || b {
		t.Error(b)
	}
	for name, kind := range map[string]Kind{"z": Null, "l": Array, "o": Object, "none": Absent} {
		if got := v.Get(name).Kind(); got != kind {
			t.Errorf("%s is %d", name, got)
		}
		if _, ok := v.Get(name).Scalar(); ok {
			t.Errorf("%s is a scalar", name)
		}
	}
	if l := v.Get("l"); l.Len() != 3 || l.Get("s") != nil || v.Len() != 7 || v.Get("s").Len() != 0 {
		t.Error(l)
	}
	if s, _ := v.Get("o").Get("s").Scalar(); s != "<" || v.Get("o").JSON() != `{"l":[],"s":"<"}` {
		t.Error(s, v.Get("o").JSON())
	}
	if want := `{"f":false,"l":[1,[2],{"s":3}],"n":1.50,"o":{"l":[],"s":"<"},"s":"aé","t":true,"z":null}`; v.JSON() != want {
		t.Errorf("%s, want %s", v.JSON(), want)
	}
}

// Objects with many members do not take the square of their number.
func TestManyNames(t *testing.T) {
	var n names
	for i := range few + 1 {
		if n.many != nil {
			t.Fatalf("a map for %d names", i)
		}
		n.add(nil, fmt.Sprint(i))
	}
	if n.many == nil {
		t.Error("no map for many names")
	}
}

// A document of a usual token takes one allocation, and a large one little more than
// its nodes.
func TestAllocations(t *testing.T) {
	large := `{"a":[` + strings.Repeat("0,", 5000) + `0]}`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	Parse(large)
	runtime.ReadMemStats(&after)
	got := after.TotalAlloc - before.TotalAlloc
	if most := uint64(3 * 5100 * nodeSize); got > most {
		t.Errorf("%d bytes, more than %d", got, most)
	}
	doc := `{"iss":"i","aud":["a","b"],"exp":1,"realm_access":{"roles":["x","y"]}}`
	if n := testing.AllocsPerRun(100, func() { Parse(doc) }); n != 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	doc := `{"acr":"1","allowed-origins":["https://shop.example"],"aud":["a","account"],"auth_time":1,"azp":"web-shop","email":"jane.doe@example.com",` +
		`"email_verified":true,"exp":1,"iat":1,"iss":"i","jti":"x","name":"Jane Doe","nbf":1,"preferred_username":"jane","realm_access":{"roles":["a","b"]},` +
		`"resource_access":{"account":{"roles":["c","d"]}},"scope":"openid profile","sid":"7a1c9d3e","sub":"s","typ":"Bearer"}`
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(doc); err != nil {
			b.Fatal(err)
		}
	}
}
