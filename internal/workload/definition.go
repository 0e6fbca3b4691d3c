package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Definition is a workload as a user describes it: by the flags of `usher run`
// or under `workloads` of usher.yaml, where every flag is a key of the same name.
type Definition struct {
	Service        string            `yaml:"service"`
	Version        string            `yaml:"version"`
	Namespace      string            `yaml:"namespace"`
	ServiceAccount string            `yaml:"service-account"`
	Name           string            `yaml:"name"`
	Port           []string          `yaml:"port"` // [NAME=]P[:APPPORT] or "none"
	Protocol       string            `yaml:"protocol"`
	Label          map[string]string `yaml:"label"`
	NoSidecar      bool              `yaml:"no-sidecar"`
	Netns          bool              `yaml:"netns"`
	Command        []string          `yaml:"command"`

	// Dir is the working directory of the command.
	Dir string `yaml:"-"`

	ports []Port
}

// protocols that `--protocol` takes, each the name of its port as in Istio.
var protocols = []string{"http", "http2", "grpc", "tcp", "tls"}

// Complete fills in the defaults and checks every field. The error names the
// field as the flag is called.
func (d *Definition) Complete(namespace string) error {
	if d.Version == "" {
		d.Version = "v1"
	}
	if d.Namespace == "" {
		d.Namespace = namespace
	}
	if d.ServiceAccount == "" {
		d.ServiceAccount = "default"
	}
	if d.Service == "" {
		return fmt.Errorf("service: must be given")
	}
	if d.Name == "" {
		d.Name = d.Service + "-" + d.Version
	}
	for _, f := range []struct {
		field, value string
		check        func(string) []string
	}{
		{"service", d.Service, validation.IsDNS1035Label},
		{"version", d.Version, validation.IsValidLabelValue},
		{"namespace", d.Namespace, validation.IsDNS1123Label},
		{"service-account", d.ServiceAccount, validation.IsDNS1123Subdomain},
		{"name", d.Name, validation.IsDNS1123Label},
	} {
		if errs := f.check(f.value); len(errs) > 0 {
			return fmt.Errorf("%s %q: %s", f.field, f.value, errs[0])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(d.Label)) {
		if errs := validation.IsQualifiedName(k); len(errs) > 0 {
			return fmt.Errorf("label %q: %s", k, errs[0])
		}
		if errs := validation.IsValidLabelValue(d.Label[k]); len(errs) > 0 {
			return fmt.Errorf("label %s=%q: %s", k, d.Label[k], errs[0])
		}
	}
	if len(d.Command) == 0 || d.Command[0] == "" {
		return fmt.Errorf("command: must be given")
	}
	if d.Netns {
		return fmt.Errorf("netns: capture in namespaces of its own is not part of this version: " +
			"without it the workload gets HTTP_PROXY variables that lead through its sidecar")
	}
	if d.Protocol != "" && !slices.Contains(protocols, d.Protocol) {
		return fmt.Errorf("protocol %q: must be one of %s", d.Protocol, strings.Join(protocols, ", "))
	}
	var err error
	d.ports, err = parsePorts(d.Port, d.Protocol)
	return err
}

// Labels of the WorkloadEntry.
func (d *Definition) Labels() map[string]string {
	l := maps.Clone(d.Label)
	if l == nil {
		l = map[string]string{}
	}
	l["app"] = d.Service
	l["version"] = d.Version
	if !d.NoSidecar {
		l[tlsModeLabel] = "istio"
	}
	return l
}

// tlsModeLabel marks what has a sidecar that takes mTLS, as in Istio.
const tlsModeLabel = "security.istio.io/tlsMode"
