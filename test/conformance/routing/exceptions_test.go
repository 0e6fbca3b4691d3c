package routing

import (
	"regexp"
	"strings"
)

var message = regexp.MustCompile(`(?m)^Grpc-Message: .*\n`)

// exception is a difference that is meant: to which answers it applies, and why.
type exception struct {
	why string
	is  func(r *request, envoy, usher string) bool
}

var exceptions = []exception{
	{"what a rewrite makes no authority or path of is not sent", func(_ *request, envoy, usher string) bool {
		return strings.HasPrefix(envoy, "400\n") && (strings.HasPrefix(usher, "503\n") || strings.Contains(usher, `Grpc-Status: ["14"]`))
	}},
	{"a request that is refused goes to no cluster, so none of a weighted cluster's fields are in the answer", func(_ *request, envoy, usher string) bool {
		refused := strings.HasPrefix(envoy, "403\n") || strings.Contains(envoy, `Grpc-Status: ["7"]`)
		return refused && withoutAdded(envoy) == withoutAdded(usher)
	}},
	{"an answer to HEAD has the fields of one to GET (RFC 9110, 9.3.2), grpc-message too", func(r *request, envoy, usher string) bool {
		return r.method == "HEAD" && message.ReplaceAllString(usher, "") == envoy
	}},
}

// withoutAdded leaves out the fields that mutations add and remove.
func withoutAdded(answer string) string {
	var out strings.Builder
	for line := range strings.Lines(answer) {
		if name, _, _ := strings.Cut(line, ":"); name != "X-A" && name != "X-B" && name != "X-New" {
			out.WriteString(line)
		}
	}
	return out.String()
}
