package harness

import (
	"os"
	"os/exec"
	"testing"
)

// Need leaves the test out, and says why, if the machine lacks a program that it
// needs. With USHER_TEST_ALL set that is a failure.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			LeaveOut(t, p+" is not on this machine")
		}
	}
}

// NeedRoot leaves the test out if it is not run by root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		LeaveOut(t, "needs root")
	}
}

// Envoy is the path of a real Envoy, $ENVOY or the one on PATH; without one the
// test is left out.
func Envoy(t testing.TB) string {
	t.Helper()
	if e := os.Getenv("ENVOY"); e != "" {
		return e
	}
	e, err := exec.LookPath("envoy")
	if err != nil {
		LeaveOut(t, "there is no Envoy ($ENVOY, or envoy on PATH)")
	}
	return e
}

// LeaveOut leaves the test out, and says why. With USHER_TEST_ALL set that is a failure.
func LeaveOut(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("USHER_TEST_ALL") != "" {
		t.Fatalf("no test may be left out: %s", why)
	}
	t.Skip(why)
}

// Full tells whether the full counts are asked for (`make soak`).
func Full() bool { return os.Getenv("USHER_SOAK") != "" }

// Count gives the short count, or the full one in `make soak`, and prints it.
func Count(t testing.TB, what string, short, full int) int {
	t.Helper()
	n := short
	if Full() {
		n = full
	}
	t.Logf("%s: %d (make soak: %d)", what, n, full)
	return n
}
