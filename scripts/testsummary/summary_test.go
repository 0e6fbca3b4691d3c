package main

import (
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	for _, c := range []struct {
		name, in string
		good     bool
		want     []string
	}{
		{
			name: "passes and skips",
			in: `{"Action":"output","Package":"p","Test":"TestRoot","Output":"    a_test.go:3: needs root\n"}
{"Action":"skip","Package":"p","Test":"TestRoot"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Elapsed":0.5}
`,
			good: true,
			want: []string{"ok   p (0.5s)\n", "p TestRoot: needs root", "\n1 passed, 0 failed, 1 skipped\n"},
		},
		{
			name: "a failure shows its output",
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: got 1\n"}
{"Action":"fail","Package":"p","Test":"TestA","Elapsed":1}
{"Action":"fail","Package":"p","Elapsed":1}
`,
			want: []string{"a_test.go:3: got 1\n", "0 passed, 1 failed, 0 skipped"},
		},
		{
			name: "a build that fails",
			in: `{"ImportPath":"p","Action":"build-output","Output":"p/a.go:1:1: undefined: x\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
`,
			want: []string{"undefined: x", "0 passed, 1 failed, 0 skipped"},
		},
		{
			name: "a panic names the test that was cut off",
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: no\n"}
{"Action":"fail","Package":"p"}
`,
			want: []string{"cut off: p TestA\npanic: no", "0 passed, 1 failed, 0 skipped"},
		},
		{name: "nothing ran", in: "go: no such command\n", want: []string{"go: no such command", "0 passed, 0 failed, 0 skipped"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			s := newSummary(&out)
			if err := s.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if good := s.end(); good != c.good {
				t.Errorf("good: %v, want %v", good, c.good)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output lacks %q:\n%s", want, out.String())
				}
			}
		})
	}
}
