package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/usher-mesh/usher/internal/control/source"
	"github.com/usher-mesh/usher/internal/control/translate"
)

// TestReportSettings holds that fields of the mesh configuration that are not
// known, or have no effect, are logged by name, once for each change.
func TestReportSettings(t *testing.T) {
	var log bytes.Buffer
	p := &pipeline{log: slog.New(slog.NewTextHandler(&log, nil))}
	translator := translate.New()
	for _, step := range []struct {
		config string
		want   []string // each in a line of its own
	}{
		{"outboundTrafficPolicy: {mode: ALLOW_ANY}", nil},
		{"enableTracing: true\nrootNamespace: x", []string{"rootNamespace", "enableTracing"}},
		{"enableTracing: true\nrootNamespace: x\n", nil},
		{"enableTracing: true", []string{"enableTracing"}},
		{"futureField: 1", []string{"futureField"}},
		{"outboundTrafficPolicy: {future: 1}", []string{"future"}},
		{"outboundTrafficPolicy: {}", nil},
		{"futureField: 1", []string{"futureField"}},
	} {
		log.Reset()
		s, err := source.FromObjects(1, []*unstructured.Unstructured{{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": "istio", "namespace": "istio-system"},
			"data":     map[string]any{"mesh": step.config},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		_, statuses := translator.Translate(s)
		p.reportSettings(statuses)
		lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
		if log.Len() == 0 {
			lines = nil
		}
		if len(lines) != len(step.want) {
			t.Errorf("%q: logged %q, want %q", step.config, lines, step.want)
			continue
		}
		for i, w := range step.want {
			if !strings.Contains(lines[i], "level=WARN") || !strings.Contains(lines[i], w) {
				t.Errorf("%q: logged %q, want %q", step.config, lines[i], w)
			}
		}
	}
}
