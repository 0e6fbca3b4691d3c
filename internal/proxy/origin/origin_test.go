package origin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

func source(t *testing.T, text string) *corev3.ConfigSource {
	t.Helper()
	c := new(corev3.ConfigSource)
	if err := protojson.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	return c
}

const grpc = `"grpcServices": [{"envoyGrpc": {"clusterName": "c"}}]`

func api(fields string) string { return `{"apiConfigSource": {` + fields + `}}` }

func TestOf(t *testing.T) {
	for _, c := range []struct {
		text string
		want Source
		err  string
	}{
		{`{"ads": {}}`, ADS, ""}, {`{"ads": {}, "resourceApiVersion": "V3"}`, ADS, ""}, {`{"ads": {}, "resourceApiVersion": "AUTO"}`, ADS, ""},
		{`{"path": "/x"}`, Source{Path: "/x"}, ""},
		{`{"pathConfigSource": {"path": "a/x"}, "resourceApiVersion": "V3"}`, Source{Path: "a/x"}, ""},
		{`{"pathConfigSource": {"path": "/a/x", "watchedDirectory": {"path": "/a"}}}`, Source{Path: "/a/x", Watched: "/a"}, ""},
		{`{}`, ADS, "config_source_specifier: missing"},
		{`{"self": {}}`, ADS, "self: not supported"},
		{`{"path": "x"}`, ADS, `path: "x" does not name a file and its folder`},
		{`{"path": "/a\u0000b"}`, ADS, `path: "/a\x00b" does not name a file and its folder`},
		{`{"pathConfigSource": {}}`, ADS, `path_config_source.path: "" does not name a file and its folder`},
		{`{"pathConfigSource": {"path": "/x", "watchedDirectory": {}}}`, ADS, `path_config_source.watched_directory.path: "" is not a folder`},
		{`{"pathConfigSource": {"path": "/x", "watchedDirectory": {"path": "/a\u0000b"}}}`, ADS, `path_config_source.watched_directory.path: "/a\x00b" is not a folder`},
		{api(`"apiType": "GRPC", ` + grpc), Source{Cluster: "c", Within: 15 * time.Second}, ""},
		{api(`"apiType": "DELTA_GRPC", "transportApiVersion": "V3", "setNodeOnFirstMessageOnly": true, ` + grpc), Source{Cluster: "c", Delta: true, Within: 15 * time.Second}, ""},
		{`{"initialFetchTimeout": "0s", ` + api(`"apiType": "GRPC", ` + grpc)[1:], Source{Cluster: "c"}, ""},
		{`{"initialFetchTimeout": "1.5s", ` + api(`"apiType": "GRPC", ` + grpc)[1:], Source{Cluster: "c", Within: 1500 * time.Millisecond}, ""},
		{`{"initialFetchTimeout": "-1s", ` + api(`"apiType": "GRPC", ` + grpc)[1:], ADS, "initial_fetch_timeout: not a duration"},
		{api(`"apiType": "GRPC"`), ADS, "api_config_source.grpc_services: 0 given, want one"},
		{api(`"apiType": "REST"`), ADS, "api_config_source.api_type: REST: not supported (want DELTA_GRPC or GRPC)"},
		{api(`"apiType": "AGGREGATED_GRPC"`), ADS, "api_config_source.api_type: AGGREGATED_GRPC: not supported (want DELTA_GRPC or GRPC)"},
		{api(`"apiType": "GRPC", "transportApiVersion": "V2", ` + grpc), ADS, "api_config_source.transport_api_version: V2: not supported (want V3)"},
		{api(`"apiType": "GRPC", "requestTimeout": "1s", ` + grpc), ADS, "api_config_source.request_timeout: not supported"},
		{api(`"apiType": "GRPC", "grpcServices": [{"googleGrpc": {}}]`), ADS, "api_config_source.grpc_services[0].google_grpc: not supported"},
		{api(`"apiType": "GRPC", "grpcServices": [{"envoyGrpc": {"authority": "a"}}]`), ADS, "api_config_source.grpc_services[0].envoy_grpc.authority: not supported"},
		{api(`"apiType": "GRPC", "grpcServices": [{"envoyGrpc": {}}]`), ADS, `api_config_source.grpc_services[0].envoy_grpc.cluster_name: "" is not a name`},
		{api(`"apiType": "GRPC", "grpcServices": [{"envoyGrpc": {"clusterName": "a\u0000b"}}]`), ADS, `api_config_source.grpc_services[0].envoy_grpc.cluster_name: "a\x00b" is not a name`},
		{`{"ads": {}, "initialFetchTimeout": "1s"}`, ADS, "initial_fetch_timeout: of ADS: not supported"},
		{`{"ads": {}, "resourceApiVersion": "V2"}`, ADS, "resource_api_version: V2: not supported"},
	} {
		got, err := Of(source(t, c.text))
		if c.err == "" && (err != nil || got != c.want) || c.err != "" && (err == nil || err.Error() != c.err) {
			t.Errorf("%s: %+v, %v", c.text, got, err)
		}
	}
	if got, err := Of(nil); got != ADS || err != nil {
		t.Error(got, err)
	}
}

// TestOpen: what is to be read must be there.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{"path": "FILE"}`: "", `{"path": "NONE"}`: "path: stat",
		`{"pathConfigSource": {"path": "NONE"}}`:                                       "path_config_source.path: stat",
		`{"pathConfigSource": {"path": "FILE", "watchedDirectory": {"path": "DIR"}}}`:  "",
		`{"pathConfigSource": {"path": "FILE", "watchedDirectory": {"path": "NONE"}}}`: "path_config_source.watched_directory.path: stat",
		`{"pathConfigSource": {"path": "FILE", "watchedDirectory": {"path": "FILE"}}}`: "path_config_source.watched_directory.path: " + file + ": not a folder",
	} {
		_, err := Open(source(t, strings.NewReplacer("FILE", file, "DIR", dir, "NONE", filepath.Join(dir, "none")).Replace(text)))
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzKey: no two names have one key.
func FuzzKey(f *testing.F) {
	f.Add("", "", "", false, int64(0), "a", "", "", "", false, int64(0), "\x00/a\x00\x00\x00\x00\x00a")
	f.Add("/a", "", "", false, int64(0), "b", "/a", "/", "", false, int64(0), "b")
	f.Add("", "", "c", false, int64(1), "b", "", "", "c", true, int64(1), "b")
	f.Add("", "", "c", true, int64(15e9), "b", "", "", "c", true, int64(15e9+1), "b")
	f.Add("/c", "", "", false, int64(0), "b", "", "", "/c", false, int64(0), "b")
	f.Fuzz(func(t *testing.T, path, watched, cluster string, delta bool, within int64, name, path2, watched2, cluster2 string, delta2 bool, within2 int64, name2 string) {
		for _, s := range []string{path, watched, cluster, path2, watched2, cluster2} {
			if strings.Contains(s, "\x00") {
				return // Of gives none
			}
		}
		a := Name{Source{path, watched, cluster, delta, time.Duration(within)}, name}
		b := Name{Source{path2, watched2, cluster2, delta2, time.Duration(within2)}, name2}
		if a.Source == ADS && strings.HasPrefix(name, "\x00") || b.Source == ADS && strings.HasPrefix(name2, "\x00") {
			return // the store takes none
		}
		if Parse(a.Key()) != a || (a.Key() == b.Key()) != (a == b) {
			t.Errorf("%+v %+v", a, b)
		}
	})
}
