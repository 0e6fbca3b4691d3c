package origin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		{`{"apiConfigSource": {"apiType": "GRPC"}}`, ADS, "api_config_source: not supported"},
		{`{"ads": {}, "initialFetchTimeout": "1s"}`, ADS, "initial_fetch_timeout: not supported"},
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
	f.Add("", "", "a", "", "", "\x00/a\x00\x00a")
	f.Add("/a", "", "b", "/a", "/", "b")
	f.Fuzz(func(t *testing.T, path, watched, name, path2, watched2, name2 string) {
		for _, s := range []string{path, watched, path2, watched2} {
			if strings.Contains(s, "\x00") {
				t.Skip() // Of gives none
			}
		}
		a, b := Name{Source{path, watched}, name}, Name{Source{path2, watched2}, name2}
		if a.Source == ADS && strings.HasPrefix(name, "\x00") || b.Source == ADS && strings.HasPrefix(name2, "\x00") {
			t.Skip() // the store takes none
		}
		if Parse(a.Key()) != a || (a.Key() == b.Key()) != (a == b) {
			t.Errorf("%q %q", a, b)
		}
	})
}
