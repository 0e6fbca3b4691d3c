package main

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

func TestParseStat(t *testing.T) {
	// The name may hold anything.
	const text = "4626 (a) (b c) S 4621 4621 4621 0 -1 4194560 3064 0 12 0 150 50 7 8 20 0 9 0 466025 1269428224 2715 18446744073709551615 1 1\n"
	want := member{
		pid: 4626, parent: 4621, cpu: 2 * time.Second, started: 4660250 * time.Millisecond,
		resident: 2715 * int64(os.Getpagesize()),
	}
	if got, err := parseStat(text); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "4626 (a) S 1 2 3", "4626 (a) S x 4621 4621 0 -1 4194560 3064 0 12 0 150 50 7 8 20 0 9 0 466025 1269428224 2715"} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("%q is taken: %+v", bad, got)
		}
	}
}

// TestFamily starts a program that ignores to be told to end, with a child, and
// wants both counted and both gone.
func TestFamily(t *testing.T) {
	harness.Need(t, "taskset", "sh", "sleep")
	s := &site{dir: t.TempDir()}
	p, err := s.launch(proxyCPU, "family", nil, "sh", "-c", "trap '' TERM; sleep 600 & echo ready; wait; wait")
	if err != nil {
		t.Fatal(err)
	}
	var f family
	harness.Eventually(t, 10*time.Second, "a child", func() (bool, any) {
		f, err = readFamily(p.pid())
		return len(f) == 2 && p.lastWords() == "ready", f
	})
	if f[0].pid != p.pid() || f[1].parent != p.pid() {
		t.Errorf("not a parent and its child: %+v", f)
	}
	if sum := f[0].resident + f[1].resident; sum == 0 || f.resident() != sum {
		t.Errorf("resident: %d, want the sum %d", f.resident(), sum)
	}
	if err := p.stop(); err == nil {
		t.Error("it was killed, and nobody is told")
	}
	for _, m := range f {
		harness.Eventually(t, 10*time.Second, "gone", func() (bool, any) {
			err := syscall.Kill(m.pid, 0)
			return errors.Is(err, syscall.ESRCH), err
		})
	}
}
