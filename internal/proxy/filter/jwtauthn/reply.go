package jwtauthn

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// deny answers a request whose token is missing or bad.
func (f *Filter) deny(r *request, err error) bool {
	f.stats.Denied.Add(1)
	f.refusals.say(r.now, err)
	kind := jose.KindOf(err)
	status := http.StatusUnauthorized
	if kind == jose.AudienceNotAllowed {
		status = http.StatusForbidden
	}
	x := r.x
	if f.strip {
		x.Reply(status, "", details(kind.String()))
		return false
	}
	challenge := challenge(x)
	x.Reply(status, f.prefix+kind.String(), details(kind.String()))
	if kind != jose.Missing {
		challenge += `, error="invalid_token"`
	}
	x.Response.Header.Set("www-authenticate", challenge)
	return false
}

// denyRoute answers a request whose route names a requirement that is not there.
func (f *Filter) denyRoute(x *exchange.Exchange, name string) bool {
	f.stats.Denied.Add(1)
	text := "Wrong requirement_name: " + name + ". It should be one of [" + f.names + "]"
	f.refusals.sayOther(f.o.Now(), text)
	body := "Failed JWT authentication: " + text
	if f.strip {
		body = ""
	}
	x.Reply(http.StatusForbidden, body, details(text))
	return false
}

// details is the response code detail; logs are split at spaces.
func details(text string) string {
	return "jwt_authn_access_denied{" + strings.ReplaceAll(text, " ", "_") + "}"
}

// maxRealmPath bounds the path in a challenge, in bytes.
const maxRealmPath = 256

// challenge is RFC 6750's, with the request's address as realm. Unlike Envoy's
// it has no query, which may hold a token, and is a proper quoted-string
// (RFC 9110, 5.6.4).
func challenge(x *exchange.Exchange) string {
	path := x.Request.Path
	if p := x.Request.Header.Get("x-envoy-original-path"); p != "" {
		path = p
	}
	path = match.CutPath(path)
	if len(path) > maxRealmPath {
		path = path[:maxRealmPath]
	}
	return `Bearer realm="` + quote(x.Request.Scheme+"://"+x.Request.Authority+path) + `"`
}

// quote escapes what a quoted-string must have escaped and drops controls.
func quote(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r == '"' || r == '\\' || r < 0x20 || r == 0x7f }) < 0 {
		return s
	}
	b := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 0x20 && c != 0x7f:
			b = append(b, c)
		}
	}
	return string(b)
}

// note writes a provider's failed_status_in_metadata.
func (p *provider) note(r *request, err error) {
	kind := jose.KindOf(err)
	if p.output.failedKey == "" {
		return
	}
	r.metadata = append(r.metadata, metadataItem{p.output.failedKey, jsondoc.Of(map[string]any{
		"code": json.Number(strconv.Itoa(kind.Code())), "message": kind.String(),
	})})
}
