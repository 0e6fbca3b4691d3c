package jwtauthn

import (
	"slices"
	"strings"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// output is what a provider makes of a good token.
type output struct {
	payloadHeader string // forward_payload_header, lower case; "": none
	pad           bool
	claims        []claimHeader
	payloadKey    string // payload_in_metadata
	headerKey     string // header_in_metadata
	failedKey     string // failed_status_in_metadata
	split         []string
	clearRoute    bool
}

type claimHeader struct {
	header string
	path   []string // claim_path, or claim_name split at dots
	dotted bool     // claim_name: segments may belong together
}

// verified is a good token with what its provider makes of it. It is shared by
// requests and never changed.
type verified struct {
	token     *jose.Token
	payload   string // for forward_payload_header
	metadata  jsondoc.Value
	own       int // of metadata, in bytes, if it is not the token's claims themselves
	claims    []headerValue
	badHeader string // see request.badHeader
}

type headerValue struct{ name, value string }

func compileOutput(m *jwtv3.JwtProvider) (o output, err error) {
	o = output{
		pad: m.GetPadForwardPayloadHeader(), payloadKey: m.GetPayloadInMetadata(), headerKey: m.GetHeaderInMetadata(),
		failedKey: m.GetFailedStatusInMetadata(), clearRoute: m.GetClearRouteCache(),
	}
	if h := m.GetForwardPayloadHeader(); h != "" {
		if o.payloadHeader, err = headerName("forward_payload_header", h); err != nil {
			return o, err
		}
	}
	if n := m.GetNormalizePayloadInMetadata(); n != nil {
		if err := strict.Only(n, "space_delimited_claims"); err != nil {
			return o, strict.At("normalize_payload_in_metadata", err)
		}
		o.split = n.GetSpaceDelimitedClaims()
	}
	for i, c := range m.GetClaimToHeaders() {
		h, err := compileClaim(c)
		if err != nil {
			return o, strict.AtIndex("claim_to_headers", i, err)
		}
		o.claims = append(o.claims, h)
	}
	return o, nil
}

func compileClaim(m *jwtv3.JwtClaimToHeader) (c claimHeader, err error) {
	if err := strict.Only(m, "header_name", "claim_name", "claim_path"); err != nil {
		return c, err
	}
	if c.header, err = headerName("header_name", m.GetHeaderName()); err != nil {
		return c, err
	}
	if (m.GetClaimName() == "") == (len(m.GetClaimPath()) == 0) {
		return c, strict.Errorf("claim_name", "exactly one of claim_name and claim_path must be set")
	}
	for i, s := range m.GetClaimPath() {
		if s.GetKey() == "" {
			return c, strict.AtIndex("claim_path", i, strict.Errorf("key", "empty"))
		}
		c.path = append(c.path, s.GetKey())
	}
	if m.GetClaimName() != "" {
		c.path, c.dotted = strings.Split(m.GetClaimName(), "."), true
	}
	return c, nil
}

// writes are the request headers that tokens go into.
func (o *output) writes() []string {
	var names []string
	if o.payloadHeader != "" {
		names = append(names, o.payloadHeader)
	}
	for _, c := range o.claims {
		names = append(names, c.header)
	}
	return names
}

// prepare does once a token what every request with it needs.
func (o *output) prepare(t *jose.Token) *verified {
	v := &verified{token: t, metadata: t.Claims}
	if o.payloadHeader != "" {
		v.payload = t.Payload()
		if o.pad {
			v.payload += strings.Repeat("=", (4-len(v.payload)%4)%4)
		}
	}
	if len(o.split) > 0 {
		v.metadata = splitClaims(t.Claims, o.split)
		v.own = v.metadata.Bytes()
	}
	for _, c := range o.claims {
		text, ok := c.text(t.Claims)
		if !ok || text == "" {
			continue
		}
		if !fieldValue(text) {
			v.badHeader = c.header
			continue
		}
		v.claims = append(v.claims, headerValue{c.header, text})
	}
	return v
}

// size is about what it takes in memory, in bytes.
func (v *verified) size() int {
	n := 256 + v.token.Size() + len(v.payload) + v.own
	for _, c := range v.claims {
		n += len(c.value) + 64
	}
	return n
}

// apply writes what a good token says into the request.
func (r *request) apply(p *provider, v *verified, t found) {
	o := &p.output
	if v.badHeader != "" && r.badHeader == "" {
		r.badHeader = v.badHeader
	}
	r.x.HoldsUntil(p.forget(v.token))
	h := &r.x.Request.Header
	if o.payloadHeader != "" {
		h.Add(o.payloadHeader, v.payload)
	}
	for _, c := range v.claims {
		h.Add(c.name, c.value)
	}
	r.wrote = r.wrote || o.payloadHeader != "" || len(v.claims) > 0
	if !p.forward {
		t.at.remove(r.x)
	}
	if o.headerKey != "" {
		r.metadata = append(r.metadata, metadataItem{o.headerKey, v.token.Header})
	}
	if o.payloadKey != "" {
		r.metadata = append(r.metadata, metadataItem{o.payloadKey, v.metadata})
	}
	if o.clearRoute && (len(v.claims) > 0 || o.payloadKey != "") {
		r.clearRoute = true
	}
}

// undisguised gives a name with hyphens for underscores: a server that makes variables
// of fields (CGI, WSGI) cannot tell X_User from X-User.
func undisguised(name string) string { return strings.ReplaceAll(name, "_", "-") }

// sanitize takes out what this request's tokens have put into the headers that a
// provider writes, before the provider is asked (again).
func (r *request) sanitize(p *provider) {
	if r.wrote && len(p.writes) > 0 {
		r.x.Request.Header.DelFunc(func(h exchange.Field) bool {
			return slices.ContainsFunc(p.writes, func(w string) bool { return undisguised(w) == undisguised(h.Name) })
		})
	}
}
