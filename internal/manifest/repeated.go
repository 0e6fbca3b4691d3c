package manifest

import (
	"bytes"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// refuseRepeatedKeys refuses mappings that hold a key twice, of which the decoder
// would take the last silently. The error names line and key. Other errors are left
// to the decoder.
func refuseRepeatedKeys(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			return nil
		}
		if err := repeatedKey(&doc); err != nil {
			return err
		}
	}
}

var errRepeated = errors.New("the key is there twice")

// repeatedKey does not follow aliases: what they stand for is looked at where it is.
func repeatedKey(n *yaml.Node) error {
	seen := map[string]bool{}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if seen[c.Value] {
				return fmt.Errorf("line %d: %q: %w", c.Line, c.Value, errRepeated)
			}
			seen[c.Value] = true
		}
		if err := repeatedKey(c); err != nil {
			return err
		}
	}
	return nil
}
