package jose

import (
	"errors"
	"fmt"
	"strings"
)

// Error is why a token or a key set was refused. Kind and its text may be shown
// to anybody; Detail is for logs and for who holds the token: it names keys,
// audiences and times, escaped and cut, never the token, its signature or key
// material.
type Error struct {
	Kind   Kind
	Detail string
}

// Error gives the public text and the detail. For a client use Public.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Kind.String()
	}
	return e.Kind.String() + ": " + e.Detail
}

// Public gives the text that a client sees.
func (e *Error) Public() string { return e.Kind.String() }

// KindOf gives the kind of an error that this package made, OK for nil, and
// VerificationFailed for any other.
func KindOf(err error) Kind {
	if err == nil {
		return OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return VerificationFailed
}

func fail(k Kind, detail string) error { return &Error{Kind: k, Detail: detail} }

func failf(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// Bounds of what a detail shows of a token or a key set.
const (
	maxShown  = 128 // bytes of one text
	maxListed = 8   // items of a list
)

// shown gives text from outside for a detail: quoted, escaped, cut.
func shown(s string) string {
	if len(s) > maxShown {
		return fmt.Sprintf("%+q...", s[:maxShown])
	}
	return fmt.Sprintf("%+q", s)
}

// listed gives a list for a detail, and how much of it was cut.
func listed[T any](l []T, item func(T) string) string {
	if len(l) == 0 {
		return "nothing"
	}
	var b strings.Builder
	for i, v := range l {
		if i == maxListed {
			fmt.Fprintf(&b, " and %d more", len(l)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(item(v))
	}
	return b.String()
}
