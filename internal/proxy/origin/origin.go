// Package origin says where the resources that a configuration names may come from. It
// fetches none: package xds does.
package origin

//lint:file-ignore SA1019 the older version is named to be refused

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// ADS takes a ConfigSource that means the control plane's one stream, as none does, and
// refuses any other: nobody would ask there.
func ADS(c *corev3.ConfigSource) error {
	if c == nil {
		return nil
	}
	if err := strict.Only(c, "ads", "resource_api_version"); err != nil {
		return err
	}
	if c.GetAds() == nil {
		return strict.Errorf("config_source_specifier", "missing")
	}
	if c.GetResourceApiVersion() == corev3.ApiVersion_V2 {
		return strict.Errorf("resource_api_version", "V2: %w", strict.ErrUnsupported)
	}
	return nil
}
