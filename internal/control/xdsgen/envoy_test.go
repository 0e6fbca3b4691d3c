package xdsgen_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/usher-mesh/usher/internal/control/translate"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/test/harness"
)

// TestEnvoy has a real Envoy, $ENVOY or the one on PATH, judge what the goldens'
// objects make.
func TestEnvoy(t *testing.T) {
	envoy := harness.Envoy(t)
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			a, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			model, _ := translate.New().Translate(snapshotOf(t, 1, file(a, "objects.yaml")))
			set := xdsgen.New(options).Generate(model, proxy(t, file(a, "proxy.json")))
			path := filepath.Join(t.TempDir(), "envoy.json")
			if err := os.WriteFile(path, bootstrap(t, set), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, envoy, "--mode", "validate", "-c", path).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// bootstrap wraps resources as static ones; what they name over xDS comes from
// clusters that are there and never answer.
func bootstrap(t testing.TB, set *xdsgen.Set) []byte {
	t.Helper()
	raw := func(typ string) []json.RawMessage {
		out := []json.RawMessage{}
		for _, r := range set.ByType[typ] {
			b, err := protojson.Marshal(message(t, r))
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		return out
	}
	clusters := raw(xdsgen.ClusterType)
	for _, name := range []string{"sds-grpc", "xds-grpc"} {
		clusters = append(clusters, json.RawMessage(`{"name":"`+name+`","type":"STATIC","typed_extension_protocol_options":{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions":{
				"@type":"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config":{"http2_protocol_options":{}}}},
			"load_assignment":{"cluster_name":"`+name+`","endpoints":[{"lb_endpoints":[{"endpoint":{"address":
				{"socket_address":{"address":"127.0.0.1","port_value":1}}}}]}]}}`))
	}
	b, err := json.Marshal(map[string]any{
		"node":             map[string]any{"id": "test", "cluster": "test"},
		"static_resources": map[string]any{"clusters": clusters, "listeners": raw(xdsgen.ListenerType)},
		"dynamic_resources": map[string]any{"ads_config": map[string]any{
			"api_type": "DELTA_GRPC", "transport_api_version": "V3",
			"grpc_services": []any{map[string]any{"envoy_grpc": map[string]any{"cluster_name": "xds-grpc"}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
