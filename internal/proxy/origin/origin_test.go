package origin

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

func TestADS(t *testing.T) {
	for text, want := range map[string]string{
		`{"ads": {}}`: "", `{"ads": {}, "resourceApiVersion": "V3"}`: "", `{}`: "config_source_specifier: missing",
		`{"self": {}}`:                             "self: not supported",
		`{"path": "/x"}`:                           "path: not supported",
		`{"pathConfigSource": {"path": "/x"}}`:     "path_config_source: not supported",
		`{"apiConfigSource": {"apiType": "GRPC"}}`: "api_config_source: not supported",
		`{"ads": {}, "initialFetchTimeout": "1s"}`: "initial_fetch_timeout: not supported",
		`{"ads": {}, "resourceApiVersion": "V2"}`:  "resource_api_version: V2: not supported",
	} {
		c := new(corev3.ConfigSource)
		if err := protojson.Unmarshal([]byte(text), c); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := ADS(c); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if err := ADS(nil); err != nil {
		t.Error(err)
	}
}
