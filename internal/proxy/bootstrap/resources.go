package bootstrap

import (
	"fmt"
	"path/filepath"
	"regexp"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Resources reads a file of resources: a DiscoveryResponse, as YAML or JSON, or by the end
// of its name as protobuf's text (.pb_text) or bytes (.pb). An error names the file and the
// field. What says how a response was sent (nonce, type_url) is not looked at, as in Envoy.
func Resources(file string) (*discoveryv3.DiscoveryResponse, error) {
	text, err := atomicfile.ReadLimited(file, maxFile)
	if err != nil {
		return nil, err
	}
	r, err := parseResources(filepath.Ext(file), text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

var position = regexp.MustCompile(`\(line \d+:\d+\)`)

func parseResources(ext string, text []byte) (*discoveryv3.DiscoveryResponse, error) {
	r := new(discoveryv3.DiscoveryResponse)
	var err error
	switch ext {
	case ".pb":
		err = proto.Unmarshal(text, r)
	case ".pb_text":
		if err = prototext.Unmarshal(text, r); err != nil {
			err = fmt.Errorf("not a DiscoveryResponse as text %s", position.FindString(err.Error())) // the rest may show a key
		}
	default:
		err = Decode(text, r)
	}
	if err != nil {
		return nil, err
	}
	return r, strict.Only(r, "version_info", "resources", "canary", "type_url", "nonce", "control_plane")
}
