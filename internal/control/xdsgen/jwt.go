package xdsgen

import (
	"encoding/base64"
	"fmt"
	"sort"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/usher-mesh/usher/internal/mesh"
)

const (
	jwtName         = "envoy.filters.http.jwt_authn"
	payloadKey      = "payload" // of the claims in the filter's metadata
	mirrorURI       = "https://usher-jwks-mirror/jwks/"
	fetchTimeout    = 5 * time.Second
	keyLifetime     = 5 * time.Minute
	jwtCacheEntries = 1000
	jwtCacheToken   = 4096 // bytes: longer tokens are verified each time
)

// jwtFilter verifies the tokens of all RequestAuthentications. A request without
// a token passes; a token that is there and bad is refused, wherever it stands.
func jwtFilter(s *mesh.Security, _ *place) []*hcmv3.HttpFilter {
	if len(s.RequestRules) == 0 {
		return nil
	}
	j := &jwtv3.JwtAuthentication{Providers: map[string]*jwtv3.JwtProvider{}, BypassCorsPreflight: true}
	var all []*jwtv3.JwtRequirement
	for _, group := range groups(s.RequestRules) {
		var names []string
		for _, r := range group {
			name := fmt.Sprintf("origins-%d", len(j.Providers))
			j.Providers[name] = provider(&r)
			names = append(names, name)
		}
		all = append(all, anyOf(names, allowMissing()))
	}
	requires := all[0]
	if len(all) > 1 {
		requires = &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_RequiresAll{
			RequiresAll: &jwtv3.JwtRequirementAndList{Requirements: all},
		}}
	}
	j.Rules = []*jwtv3.RequirementRule{{
		Match:           routeMatch(nil),
		RequirementType: &jwtv3.RequirementRule_Requires{Requires: requires},
	}}
	return []*hcmv3.HttpFilter{httpFilter(jwtName, j)}
}

// groups parts the rules so that in each group every rule reads the same places,
// and no place is read by two groups. One token of a place is good if one rule of
// its group takes it; a group with a bad token is refused. Rules whose places
// overlap without being the same are taken apart, a place at a time.
func groups(rules []mesh.JWTRule) [][]mesh.JWTRule {
	byPlaces := map[string][]mesh.JWTRule{}
	users := map[string]map[string]bool{} // place -> sets of places that have it
	for _, r := range rules {
		set := fmt.Sprint(places(&r))
		byPlaces[set] = append(byPlaces[set], r)
		for _, p := range places(&r) {
			if users[p] == nil {
				users[p] = map[string]bool{}
			}
			users[p][set] = true
		}
	}
	out := map[string][]mesh.JWTRule{}
	for set, list := range byPlaces {
		apart := false
		for _, p := range places(&list[0]) {
			apart = apart || len(users[p]) > 1
		}
		if !apart {
			out[set] = list
			continue
		}
		for _, r := range list {
			for _, one := range split(r) {
				p := places(&one)[0]
				out[p] = append(out[p], one)
			}
		}
	}
	keys := make([]string, 0, len(out))
	for k := range out {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	list := make([][]mesh.JWTRule, 0, len(keys))
	for _, k := range keys {
		g := out[k]
		sort.SliceStable(g, func(i, j int) bool {
			a, b := &g[i], &g[j]
			if a.Ref != b.Ref {
				return sorted([]mesh.Ref{a.Ref, b.Ref})[0] == a.Ref
			}
			return a.Index < b.Index
		})
		list = append(list, g)
	}
	return list
}

// places are where a rule reads tokens, in order.
func places(r *mesh.JWTRule) []string {
	var out []string
	for _, h := range r.Headers {
		out = append(out, fmt.Sprintf("header %q %q", lower(h.Name), h.Prefix))
	}
	for _, p := range r.Params {
		out = append(out, fmt.Sprintf("param %q", p))
	}
	for _, c := range r.Cookies {
		out = append(out, fmt.Sprintf("cookie %q", c))
	}
	sort.Strings(out)
	return out
}

// split makes a rule for each place of one.
func split(r mesh.JWTRule) []mesh.JWTRule {
	base := r
	base.Headers, base.Params, base.Cookies = nil, nil, nil
	var out []mesh.JWTRule
	for _, h := range r.Headers {
		one := base
		one.Headers = []mesh.JWTHeader{h}
		out = append(out, one)
	}
	for _, p := range r.Params {
		one := base
		one.Params = []string{p}
		out = append(out, one)
	}
	for _, c := range r.Cookies {
		one := base
		one.Cookies = []string{c}
		out = append(out, one)
	}
	return out
}

func anyOf(names []string, more ...*jwtv3.JwtRequirement) *jwtv3.JwtRequirement {
	var list []*jwtv3.JwtRequirement
	for _, n := range names {
		list = append(list, &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_ProviderName{ProviderName: n}})
	}
	list = append(list, more...)
	if len(list) == 1 {
		return list[0]
	}
	return &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_RequiresAny{RequiresAny: &jwtv3.JwtRequirementOrList{Requirements: list}}}
}

func allowMissing() *jwtv3.JwtRequirement {
	return &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_AllowMissing{AllowMissing: &emptypb.Empty{}}}
}

// provider is one rule's issuer.
func provider(r *mesh.JWTRule) *jwtv3.JwtProvider {
	p := &jwtv3.JwtProvider{
		Issuer: r.Issuer, Audiences: r.Audiences, Forward: r.Forward, ForwardPayloadHeader: r.PayloadHeader,
		FromParams: r.Params, FromCookies: r.Cookies, ClockSkewSeconds: r.AcceptClockSkewS,
		PayloadInMetadata:          payloadKey,
		NormalizePayloadInMetadata: &jwtv3.JwtProvider_NormalizePayload{SpaceDelimitedClaims: r.SpaceDelimited},
		JwtCacheConfig:             &jwtv3.JwtCacheConfig{JwtCacheSize: jwtCacheEntries, JwtMaxTokenSize: jwtCacheToken},
	}
	for _, h := range r.Headers {
		p.FromHeaders = append(p.FromHeaders, &jwtv3.JwtHeader{Name: h.Name, ValuePrefix: h.Prefix})
	}
	for _, c := range r.ClaimHeaders {
		p.ClaimToHeaders = append(p.ClaimToHeaders, &jwtv3.JwtClaimToHeader{HeaderName: c.Header, ClaimName: c.Claim})
	}
	if r.JWKS != "" {
		p.JwksSourceSpecifier = &jwtv3.JwtProvider_LocalJwks{LocalJwks: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: r.JWKS},
		}}
		return p
	}
	timeout := fetchTimeout
	if r.FetchTimeout > 0 {
		timeout = r.FetchTimeout
	}
	p.JwksSourceSpecifier = &jwtv3.JwtProvider_RemoteJwks{RemoteJwks: &jwtv3.RemoteJwks{
		HttpUri: &corev3.HttpUri{
			Uri:              mirrorURI + base64.RawURLEncoding.EncodeToString([]byte(r.KeySet)),
			HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: mirror},
			Timeout:          durationpb.New(timeout),
		},
		CacheDuration: durationpb.New(keyLifetime),
		AsyncFetch:    &jwtv3.JwksAsyncFetch{FastListener: true},
	}}
	return p
}
