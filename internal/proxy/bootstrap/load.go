// Package bootstrap reads the file that usher-proxy starts from: Envoy's Bootstrap
// message as YAML or JSON. It is strict: a field that does not exist, or one that
// nothing here reads, is an error that names its path. It compiles nothing:
// package config does.
package bootstrap

import (
	"encoding/json"
	"errors"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
)

// maxFile bounds a bootstrap file, in bytes.
const maxFile = 16 << 20

// Load reads a bootstrap file. Errors name the file and the field.
func Load(file string) (*bootstrapv3.Bootstrap, error) {
	text, err := atomicfile.ReadLimited(file, maxFile)
	if err != nil {
		return nil, err
	}
	b, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return b, nil
}

// New gives what Load gives for the file that sidecar.File makes.
func New(p sidecar.Params) (*bootstrapv3.Bootstrap, error) {
	text, err := sidecar.File(p)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse reads a bootstrap from YAML, of which JSON is a part.
func Parse(text []byte) (*bootstrapv3.Bootstrap, error) {
	b := new(bootstrapv3.Bootstrap)
	if err := Decode(text, b); err != nil {
		return nil, err
	}
	if err := supported(b); err != nil {
		return nil, err
	}
	return b, nil
}

// Decode reads a message from YAML or JSON as Envoy spells it. An error names the field.
func Decode(text []byte, m proto.Message) error {
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		if err := yaml.Unmarshal(text, &tree); err != nil {
			return err
		}
	}
	if tree == nil {
		return errors.New("the file is empty")
	}
	tree, err := plain(tree, 0)
	if err != nil {
		return err
	}
	d := m.ProtoReflect().Descriptor()
	tree = spelled(tree, d)
	if err := fields(tree, d, ""); err != nil {
		return err
	}
	js, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	if err := protojson.Unmarshal(js, m); err != nil {
		return locate(tree, m, err)
	}
	return nil
}
