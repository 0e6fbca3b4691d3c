package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// camelCase has the snake-case names that Istio also read.
var camelCase = map[string]string{
	"peer_is_optional":   "peerIsOptional",
	"origin_is_optional": "originIsOptional",
	"principal_binding":  "principalBinding",
	"allow_tls":          "allowTls",
	"jwks_uri":           "jwksUri",
	"jwt_headers":        "jwtHeaders",
	"jwt_params":         "jwtParams",
	"trigger_rules":      "triggerRules",
	"excluded_paths":     "excludedPaths",
	"included_paths":     "includedPaths",
}

// SpelledTwiceError says that a field is there in both spellings.
type SpelledTwiceError struct{ Snake, Camel string }

func (e *SpelledTwiceError) Error() string {
	return fmt.Sprintf("%s and %s are the same field: leave one out", e.Camel, e.Snake)
}

// Canonical renames the fields of a decoded spec to camel case, in place. A field
// that is there in both spellings is an error that names both.
func Canonical(spec map[string]any) error {
	for snake, camel := range camelCase {
		v, ok := spec[snake]
		if !ok {
			continue
		}
		if _, both := spec[camel]; both {
			return &SpelledTwiceError{Snake: snake, Camel: camel}
		}
		delete(spec, snake)
		spec[camel] = v
	}
	for _, v := range spec {
		if err := canonicalValue(v); err != nil {
			return err
		}
	}
	return nil
}

func canonicalValue(v any) error {
	switch v := v.(type) {
	case map[string]any:
		return Canonical(v)
	case []any:
		for _, e := range v {
			if err := canonicalValue(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// UnmarshalJSON reads both spellings of every field. A field in both spellings is
// a *SpelledTwiceError.
func (s *PolicySpec) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var spec map[string]any
	if err := d.Decode(&spec); err != nil {
		return err
	}
	if err := Canonical(spec); err != nil {
		return err
	}
	canonical, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	type plain PolicySpec
	*s = PolicySpec{}
	return json.Unmarshal(canonical, (*plain)(s))
}

// UnmarshalJSON takes `mtls: null`, which is how YAML reads `- mtls:`, for an empty
// MutualTLS: Istio's documentation writes it so.
func (m *PeerAuthenticationMethod) UnmarshalJSON(text []byte) error {
	var raw struct {
		MTLS json.RawMessage `json:"mtls"`
		JWT  *JWT            `json:"jwt"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	*m = PeerAuthenticationMethod{JWT: raw.JWT}
	if raw.MTLS == nil {
		return nil
	}
	m.MTLS = &MutualTLS{}
	return json.Unmarshal(raw.MTLS, m.MTLS)
}
