package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

const (
	onSelf  = "+kubebuilder:validation:"
	onItem  = "+protoc-gen-crd:list-value-validation:"
	onValue = "+protoc-gen-crd:map-value-validation:"
)

// apply puts one annotation's validation (`MaxItems=16`) into a schema.
func apply(s *apiextensionsv1.JSONSchemaProps, text string) error {
	name, value, _ := strings.Cut(text, "=")
	number := func() (int64, error) { return strconv.ParseInt(value, 10, 64) }
	whole := func(field **int64) error {
		n, err := number()
		*field = &n
		return err
	}
	float := func(field **float64) error {
		n, err := strconv.ParseFloat(value, 64)
		*field = &n
		return err
	}
	switch name {
	case "MinLength":
		return whole(&s.MinLength)
	case "MaxLength":
		return whole(&s.MaxLength)
	case "MinItems":
		return whole(&s.MinItems)
	case "MaxItems":
		return whole(&s.MaxItems)
	case "MinProperties":
		return whole(&s.MinProperties)
	case "MaxProperties":
		return whole(&s.MaxProperties)
	case "Minimum":
		return float(&s.Minimum)
	case "Maximum":
		return float(&s.Maximum)
	case "Pattern":
		s.Pattern = strings.Trim(value, "`")
		return nil
	}
	if rule, ok := strings.CutPrefix(text, "XValidation:"); ok {
		v, err := celRule(rule)
		s.XValidations = append(s.XValidations, v)
		return err
	}
	return fmt.Errorf("annotation %q is not known", text)
}

var (
	celForm     = regexp.MustCompile(`^message="(.*?)",rule="(.*)"$`)
	oneofMacro  = regexp.MustCompile(`oneof\(([^)]*)\)`)
	defaultCall = regexp.MustCompile(`default\(([\w.]+), ?([^)]*)\)`)
	indexCall   = regexp.MustCompile(`self\.index\(([^,]*), ?(\w+), ?(\w+)\)`)
	anyMacro    = regexp.MustCompile(`\b(oneof|default|index)\(`)
)

// celRule parses `message="...",rule="..."` and writes out Istio's macros:
// oneof(a, b) is at most one of them, default(a, d) is a or d, and
// self.index(d, a, b) is self.a.b or d.
func celRule(text string) (apiextensionsv1.ValidationRule, error) {
	m := celForm.FindStringSubmatch(text)
	if m == nil {
		return apiextensionsv1.ValidationRule{}, fmt.Errorf("annotation XValidation:%q is not of the form message=,rule=", text)
	}
	rule := oneofMacro.ReplaceAllStringFunc(m[2], func(call string) string {
		var terms []string
		for _, arg := range strings.Split(oneofMacro.FindStringSubmatch(call)[1], ",") {
			terms = append(terms, "(has("+strings.TrimSpace(arg)+") ? 1 : 0)")
		}
		return strings.Join(terms, " + ") + " <= 1"
	})
	rule = defaultCall.ReplaceAllString(rule, "(has($1) ? $1 : $2)")
	rule = indexCall.ReplaceAllString(rule, "(has(self.$2) && has(self.$2.$3) ? self.$2.$3 : $1)")
	if left := anyMacro.FindString(rule); left != "" {
		return apiextensionsv1.ValidationRule{}, fmt.Errorf("macro %s is left in rule %s", left, rule)
	}
	return apiextensionsv1.ValidationRule{Rule: rule, Message: m[1]}, nil
}

// durationRule is on every duration that no annotation frees of it.
func durationRule() apiextensionsv1.ValidationRule {
	return apiextensionsv1.ValidationRule{
		Rule:    "duration(self) >= duration('1ms')",
		Message: "must be a valid duration greater than 1ms",
	}
}

// exclusive allows at most one of the named fields.
func exclusive(fields []string) []apiextensionsv1.JSONSchemaProps {
	var each []apiextensionsv1.JSONSchemaProps
	for _, f := range fields {
		each = append(each, apiextensionsv1.JSONSchemaProps{Required: []string{f}})
	}
	none := apiextensionsv1.JSONSchemaProps{Not: &apiextensionsv1.JSONSchemaProps{AnyOf: each}}
	return append([]apiextensionsv1.JSONSchemaProps{none}, each...)
}

func enum(values ...string) []apiextensionsv1.JSON {
	out := make([]apiextensionsv1.JSON, len(values))
	for i, v := range values {
		raw, _ := json.Marshal(v) // a string always marshals
		out[i].Raw = raw
	}
	return out
}
