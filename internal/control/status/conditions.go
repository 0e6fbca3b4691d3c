package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/control/xds"
	"github.com/usher-mesh/usher/internal/mesh"
)

type standing = xds.Standing

// condition is one condition's content; status is "" if nothing is known.
type condition struct{ status, reason, message string }

// outcome is what stands in an object's status.
type outcome struct {
	generation           int64
	accepted, programmed condition
}

// verdict is the part of an outcome whose change is written at once.
func (o outcome) verdict() [2]string { return [2]string{o.accepted.status, o.programmed.status} }

const (
	yes = "True"
	no  = "False"
	// shown is how many proxies a message names.
	shown = 5
	// maxMessage bounds a condition's message, in bytes.
	maxMessage = 4096
)

// accepted says whether the object could be translated.
func accepted(s *mesh.Status, more []string) condition {
	c := condition{status: yes, reason: s.Reason, message: s.Message}
	if !s.Accepted {
		c.status = no
	}
	if c.reason == "" {
		c.reason = "Accepted"
		if !s.Accepted {
			c.reason = "Invalid"
		}
	}
	parts := []string{}
	if c.message != "" {
		parts = append(parts, c.message)
	}
	for _, w := range [][]string{s.Warnings, more} {
		for _, t := range w {
			parts = append(parts, "warning: "+t)
		}
	}
	c.message = cut(strings.Join(parts, "; "))
	return c
}

// programmed says whether the proxies have what came of the object. ok is false
// while that is not known yet.
func programmed(s *mesh.Status, ask func() standing, since, now time.Time) (c condition, ok bool) {
	switch {
	case !s.Accepted:
		return condition{no, "NotAccepted", "the object is not accepted, so it is not in force as it is written"}, true
	case s.NoEffectYet:
		return condition{no, "NoEffectYet", "the object has no effect in this version"}, true
	}
	st := ask()
	if len(st.Rejected) > 0 {
		return condition{no, "Rejected", cut(rejections(st.Rejected))}, true
	}
	var late []string
	for _, l := range st.Lagging {
		from := since
		if l.Since.After(from) {
			from = l.Since
		}
		if now.Sub(from) >= patience {
			late = append(late, l.Proxy)
		}
	}
	switch {
	case len(late) > 0:
		return condition{no, "Pending", fmt.Sprintf("not acknowledged within %s by %s", patience, some(late))}, true
	case len(st.Lagging) > 0:
		return condition{}, false
	case st.Concerned == 0:
		return condition{yes, "NoProxies", "no connected proxy is concerned"}, true
	}
	return condition{yes, "Programmed", "every connected proxy that it concerns has acknowledged it"}, true
}

func rejections(all []xds.Rejection) string {
	var parts []string
	for i, r := range all {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more", len(all)-shown))
			break
		}
		parts = append(parts, fmt.Sprintf("proxy %s refuses %s %q: %s", r.Proxy, r.Type, r.Resource, r.Message))
	}
	return strings.Join(parts, "; ")
}

func some(proxies []string) string {
	proxies = names(proxies)
	if len(proxies) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(proxies[:shown], ", "), len(proxies)-shown)
	}
	return strings.Join(proxies, ", ")
}

func cut(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}
