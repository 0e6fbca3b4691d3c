package jwtauthn

import (
	"strings"
	"time"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// provider is a compiled JwtProvider.
type provider struct {
	name      string
	issuer    string // "": any
	audiences jose.Audiences
	subjects  match.String // nil: any
	skew      time.Duration
	needsExp  bool
	lifetime  time.Duration // max_lifetime; 0: none

	local  *jose.KeySet
	remote *Source // nil if keys are local
	fetch  KeySets

	locations []location // in the order in which Envoy finds them
	forward   bool
	output    output
	writes    []string               // request headers, in lower case, that nobody but us may set
	cache     *jose.Cache[*verified] // nil: none
}

func compileProvider(name string, m *jwtv3.JwtProvider, o Options) (*provider, error) {
	if err := strict.Only(m, "issuer", "audiences", "subjects", "require_expiration", "max_lifetime", "remote_jwks", "local_jwks",
		"forward", "from_headers", "from_params", "from_cookies", "forward_payload_header", "pad_forward_payload_header",
		"payload_in_metadata", "normalize_payload_in_metadata", "header_in_metadata", "failed_status_in_metadata",
		"clock_skew_seconds", "jwt_cache_config", "claim_to_headers", "clear_route_cache"); err != nil {
		return nil, err
	}
	p := &provider{
		name: name, issuer: m.GetIssuer(), audiences: jose.NewAudiences(m.GetAudiences()),
		skew: jose.DefaultSkew, needsExp: m.GetRequireExpiration() || m.GetMaxLifetime() != nil,
		lifetime: m.GetMaxLifetime().AsDuration(), forward: m.GetForward(), fetch: o.Fetch,
	}
	if s := m.GetClockSkewSeconds(); s > 0 {
		p.skew = time.Duration(s) * time.Second
	}
	if m.GetMaxLifetime() != nil && p.lifetime <= 0 {
		return nil, strict.Errorf("max_lifetime", "must be more than 0")
	}
	var err error
	if m.GetSubjects() != nil {
		if p.subjects, err = match.CompileString(m.GetSubjects()); err != nil {
			return nil, strict.At("subjects", err)
		}
	}
	if err := p.compileKeys(m, o); err != nil {
		return nil, err
	}
	if p.locations, err = compileLocations(m); err != nil {
		return nil, err
	}
	if p.output, err = compileOutput(m); err != nil {
		return nil, err
	}
	p.writes = p.output.writes()
	return p, p.compileCache(m.GetJwtCacheConfig())
}

// Bounds of the cache of one provider.
const (
	defaultCacheTokens    = 100 // Envoy's
	defaultCacheTokenSize = 4096
	bytesPerToken         = 8 << 10 // of a token with what was decoded from it
	maxCacheBytes         = 32 << 20
)

func (p *provider) compileCache(m *jwtv3.JwtCacheConfig) error {
	if m == nil {
		return nil
	}
	if err := strict.Only(m, "jwt_cache_size", "jwt_max_token_size"); err != nil {
		return strict.At("jwt_cache_config", err)
	}
	tokens, size := int(m.GetJwtCacheSize()), int(m.GetJwtMaxTokenSize())
	if tokens == 0 {
		tokens = defaultCacheTokens
	}
	if size == 0 {
		size = defaultCacheTokenSize
	}
	// Some tokens are larger than others: a shard must hold the largest.
	bytes := min(max(tokens*bytesPerToken, 16*16*size), maxCacheBytes)
	p.cache = jose.NewCache[*verified](tokens, bytes, size)
	return nil
}

func (p *provider) compileKeys(m *jwtv3.JwtProvider, o Options) error {
	switch s := m.GetJwksSourceSpecifier().(type) {
	case *jwtv3.JwtProvider_LocalJwks:
		text, err := readSource(s.LocalJwks)
		if err != nil {
			return strict.At("local_jwks", err)
		}
		if p.local, err = jose.ParseKeySet(text); err != nil {
			return strict.Errorf("local_jwks", "Provider '%s' in jwt_authn config has invalid local jwks: %w", p.name, err)
		}
		for _, k := range p.local.Skipped() {
			o.Log.Warn("a key of an inline key set is not used", "provider", p.name, "key", k.Index, "reason", k.Reason)
		}
	case *jwtv3.JwtProvider_RemoteJwks:
		if o.Fetch == nil {
			return strict.Errorf("remote_jwks", "this proxy fetches no keys: %w", strict.ErrUnsupported)
		}
		src, err := compileRemote(s.RemoteJwks)
		p.remote = src
		return strict.At("remote_jwks", err)
	}
	return nil
}

// headerName checks the name of a header to read or write and gives it in lower
// case.
func headerName(path, name string) (string, error) {
	if name == "" {
		return "", strict.Errorf(path, "empty")
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return "", strict.Errorf(path, "%q is not a header name", name)
		}
	}
	return strings.ToLower(name), nil
}
