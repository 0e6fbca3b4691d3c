package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// event is a line of `go test -json` (see `go doc test2json`).
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

// unit is a test, or with an empty test what a package printed by itself.
type unit struct{ pkg, test string }

type summary struct {
	out                     io.Writer
	output                  map[unit][]string // of what still runs
	skipped                 []string
	passed, failed, skips   int
	brokenPackages, strange []string
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[unit][]string{}}
}

// read takes all events. Lines that are none are kept and printed at the end: a
// build error may come as one.
func (s *summary) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimRight(line, "\n"); line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				s.strange = append(s.strange, line)
			} else {
				s.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) take(e event) {
	u := unit{e.Package, e.Test}
	switch e.Action {
	case "output":
		s.output[u] = append(s.output[u], e.Output)
	case "build-output":
		s.strange = append(s.strange, strings.TrimRight(e.Output, "\n"))
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.packageEnds(e)
		} else {
			s.testEnds(u, e)
		}
		delete(s.output, u)
	}
}

func (s *summary) testEnds(u unit, e event) {
	switch e.Action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		fmt.Fprintf(s.out, "--- FAIL %s %s (%.2fs)\n%s", u.pkg, u.test, e.Elapsed, strings.Join(s.output[u], ""))
	case "skip":
		s.skips++
		s.skipped = append(s.skipped, fmt.Sprintf("%s %s: %s", u.pkg, u.test, reason(s.output[u])))
	}
}

// packageEnds prints a package's line; what it printed itself only if it failed,
// since there a panic or a race is told.
func (s *summary) packageEnds(e event) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(s.out, "ok   %s (%.1fs)\n", e.Package, e.Elapsed)
	case "fail":
		s.brokenPackages = append(s.brokenPackages, e.Package)
		fmt.Fprintf(s.out, "FAIL %s (%.1fs)\n%s", e.Package, e.Elapsed, strings.Join(s.output[unit{e.Package, ""}], ""))
		for u, text := range s.output { // tests that a panic cut off
			if u.pkg == e.Package && u.test != "" {
				fmt.Fprintf(s.out, "--- cut off: %s %s\n%s", u.pkg, u.test, strings.Join(text, ""))
				delete(s.output, u)
			}
		}
	}
}

var skipLine = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)$`)

// reason is what t.Skip was given.
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		if m := skipLine.FindStringSubmatch(strings.TrimRight(output[i], "\n")); m != nil {
			return m[1]
		}
	}
	return "no reason given"
}

// end prints the account and tells whether all went well.
func (s *summary) end() bool {
	for _, line := range s.strange {
		fmt.Fprintln(s.out, line)
	}
	if len(s.skipped) > 0 {
		fmt.Fprintln(s.out, "\nSkipped:")
		for _, line := range s.skipped {
			fmt.Fprintln(s.out, "  "+line)
		}
	}
	if len(s.brokenPackages) > 0 {
		fmt.Fprintln(s.out, "\nFailed packages:")
		for _, pkg := range s.brokenPackages {
			fmt.Fprintln(s.out, "  "+pkg)
		}
	}
	failed := max(s.failed, len(s.brokenPackages)) // a package can fail without a test
	fmt.Fprintf(s.out, "\n%d passed, %d failed, %d skipped\n", s.passed, failed, s.skips)
	return failed == 0 && s.passed+s.skips > 0
}
