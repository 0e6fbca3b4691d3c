package main

import (
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// legacyKinds adds Policy and MeshPolicy of authentication.istio.io/v1alpha1 as
// Istio 1.1 defined them (authentication/v1alpha1/policy.proto there), which
// istio.io/api no longer has. Istio read their fields in camel case and in the
// protobuf's own snake case, so both are properties; package authentication/v1alpha1
// reads both too.
func legacyKinds(b *builder, all map[string]*apiextensionsv1.JSONSchemaProps) {
	status, err := b.named(istioStatus)
	if err != nil {
		panic(err) // b.kind has built it before
	}
	l := legacy{b}
	for _, kind := range []string{"Policy", "MeshPolicy"} {
		s := object(b.text("authentication."+kind), l.policy(), status)
		s.Required = []string{"spec"}
		all[kind] = s
	}
}

type legacy struct{ *builder }

type fields map[string]*apiextensionsv1.JSONSchemaProps

// message is an object whose fields, named in snake case, stand in camel case too.
func (l legacy) message(name string, fs fields) *apiextensionsv1.JSONSchemaProps {
	s := &apiextensionsv1.JSONSchemaProps{
		Type:        "object",
		Description: l.text("authentication." + name),
		Properties:  map[string]apiextensionsv1.JSONSchemaProps{},
	}
	for f, p := range fs {
		if text := l.text("authentication." + name + "." + f); text != "" {
			p.Description = text
		}
		s.Properties[f] = *p
		if c := camel(f); c != f {
			s.Properties[c] = *p
		}
	}
	return s
}

func camel(snake string) string {
	words := strings.Split(snake, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

func list(e *apiextensionsv1.JSONSchemaProps, limit int64) *apiextensionsv1.JSONSchemaProps {
	return &apiextensionsv1.JSONSchemaProps{Type: "array", MaxItems: &limit, Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: e}}
}

func text(limit int64) *apiextensionsv1.JSONSchemaProps {
	return &apiextensionsv1.JSONSchemaProps{Type: "string", MaxLength: &limit}
}

func boolean() *apiextensionsv1.JSONSchemaProps {
	return &apiextensionsv1.JSONSchemaProps{Type: "boolean"}
}

func oneWord(values ...string) *apiextensionsv1.JSONSchemaProps {
	return &apiextensionsv1.JSONSchemaProps{Type: "string", Enum: enum(values...)}
}

func (l legacy) policy() *apiextensionsv1.JSONSchemaProps {
	port := l.message("PortSelector", fields{
		"number": {Type: "integer", Minimum: new(1.0), Maximum: new(65535.0)},
		"name":   text(63),
	})
	port.OneOf = exclusive([]string{"number", "name"})[1:]
	target := l.message("TargetSelector", fields{"name": text(63), "ports": list(port, 64)})
	target.Required = []string{"name"}

	mtls := l.message("MutualTls", fields{"mode": oneWord("STRICT", "PERMISSIVE"), "allow_tls": boolean()})
	mtls.Nullable = true // `- mtls:` with nothing after it is the chapter's way to write STRICT
	peer := l.message("PeerAuthenticationMethod", fields{"mtls": mtls, "jwt": l.jwt()})
	peer.OneOf = exclusive([]string{"mtls", "jwt"})[1:]
	origin := l.message("OriginAuthenticationMethod", fields{"jwt": l.jwt()})
	origin.Required = []string{"jwt"}

	return l.message("PolicySpec", fields{
		"targets":            list(target, 256),
		"peers":              list(peer, 16),
		"peer_is_optional":   boolean(),
		"origins":            list(origin, 64),
		"origin_is_optional": boolean(),
		"principal_binding":  oneWord("USE_PEER", "USE_ORIGIN"),
	})
}

func (l legacy) jwt() *apiextensionsv1.JSONSchemaProps {
	match := l.message("StringMatch", fields{"exact": text(2048), "prefix": text(2048), "suffix": text(2048), "regex": text(1024)})
	match.OneOf = exclusive([]string{"exact", "prefix", "suffix", "regex"})[1:]
	rule := l.message("TriggerRule", fields{"excluded_paths": list(match, 256), "included_paths": list(match, 256)})
	jwt := l.message("Jwt", fields{
		"issuer":        text(2048),
		"audiences":     list(text(2048), 256),
		"jwks":          text(1 << 20),
		"jwks_uri":      text(2048),
		"jwt_headers":   list(text(256), 64),
		"jwt_params":    list(text(256), 64),
		"trigger_rules": list(rule, 64),
	})
	jwt.Required = []string{"issuer"}
	return jwt
}
