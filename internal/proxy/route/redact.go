package route

import (
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// redact hides the values of secret query parameters of a path, whichever way
// their names are written.
func redact(x *exchange.Exchange, path string) string {
	return RedactQuery(path, x.Secrets())
}

// RedactQuery replaces the values of the parameters that secrets name, and of
// access_token (RFC 6750) always: a request may be refused before the filter that
// declares its secrets has seen it.
func RedactQuery(path string, secrets []exchange.Secret) string {
	i := strings.IndexByte(path, '?')
	if i < 0 {
		return path
	}
	var b strings.Builder
	changed := false
	b.WriteString(path[:i+1])
	for k, pair := range strings.Split(path[i+1:], "&") {
		if k > 0 {
			b.WriteByte('&')
		}
		name, _, has := strings.Cut(pair, "=")
		if has && secretParam(secrets, decodeQuery(strings.ReplaceAll(name, "+", " "))) {
			b.WriteString(name)
			b.WriteString("=[redacted]")
			changed = true
			continue
		}
		b.WriteString(pair)
	}
	if !changed {
		return path
	}
	return b.String()
}

func secretParam(secrets []exchange.Secret, name string) bool {
	if name == "access_token" {
		return true
	}
	for _, s := range secrets {
		if s.Kind == exchange.SecretParam && s.Name == name {
			return true
		}
	}
	return false
}
