package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestNotStale compares what the generator makes with what is checked in.
func TestNotStale(t *testing.T) {
	dir, err := moduleDir("istio.io/api")
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(dir)
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range files {
		path := filepath.Join("..", "schemas", kind+".json")
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run go generate in internal/control/api", path)
		}
	}
	made, err := filepath.Glob("../schemas/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != len(files) {
		t.Errorf("%d schemas are checked in, %d are made", len(made), len(files))
	}
}

func TestRule(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`message="m",rule="oneof(self.a, self.b)"`, "(has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0) <= 1"},
		{`message="m",rule="default(self.a, "").startsWith('x')"`, `(has(self.a) ? self.a : "").startsWith('x')`},
		{`message="m",rule="self.index({}, a, b).size() > 0"`, "(has(self.a) && has(self.a.b) ? self.a.b : {}).size() > 0"},
	} {
		r, err := celRule(c.in)
		if err != nil || r.Rule != c.want || r.Message != "m" {
			t.Errorf("%s: %+v, %v, want rule %s", c.in, r, err, c.want)
		}
	}
	for _, in := range []string{`rule="true"`, `message="m",rule="default(f(self.a), 1)"`} {
		if r, err := celRule(in); err == nil {
			t.Errorf("%s gives %+v, want an error", in, r)
		}
	}
}

func TestScan(t *testing.T) {
	n := notes{}
	err := n.scan(`package p;
// +message
message M {
  // +lost
  oneof o {
    // +field
    string a = 1 [(x) = Y];
  }
  enum E {
    // +value
    Z = 0;
  }
  message N {
    // +map
    map<string, int32> m = 1;
  }
}
`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"p.M": "+message", "p.M.a": "+field", "p.M.N.m": "+map"} {
		if len(n[name]) != 1 || n[name][0] != want {
			t.Errorf("%s has %q, want %q", name, n[name], want)
		}
	}
	if len(n) != 3 {
		t.Errorf("notes of %v, want three", n)
	}
	if err := n.scan("message M {\n"); err == nil {
		t.Error("a message without an end is no error")
	}
}
