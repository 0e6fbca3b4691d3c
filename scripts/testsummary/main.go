// Command testsummary reads the output of `go test -json` and prints what a person
// wants of it: one line a package, the output of failed tests, which tests were
// skipped and why, and at last `N passed, N failed, N skipped`. It exits with 1 if
// anything failed. It knows nothing of what is tested.
package main

import (
	"fmt"
	"os"
)

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(1)
	}
	if !s.end() {
		os.Exit(1)
	}
}
