package harness

import "testing"

// FreePorts gives ports of 127.0.0.1 that nobody listens on, and that nobody else is
// given until the test ends: packages are tested side by side, and two Envoys listen on
// one port without complaint (SO_REUSEPORT), each answering some of the requests.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	var out []int
	for range n {
		port, release, err := reservePort()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		out = append(out, port)
	}
	return out
}
