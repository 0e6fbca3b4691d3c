package accesslog

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/format"
)

func request() *exchange.Exchange {
	x := new(exchange.Exchange)
	x.Start = time.Date(2026, 11, 24, 4, 5, 6, 789e6, time.UTC)
	x.Ended, x.Response.Status, x.LogType = x.Start.Add(12*time.Millisecond), 200, "DownstreamEnd"
	x.Request.ProtoMajor, x.Request.ProtoMinor = 1, 1
	x.Request.Header.Add("user-agent", "cur\"l\n")
	return x
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	m := new(accesslogv3.AccessLog)
	if err := protojson.Unmarshal([]byte(`{"name":"f","typedConfig":{"@type":"type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog","path":"`+path+
		`","logFormat":{"jsonFormat":{"code":"%RESPONSE_CODE%","agent":"%REQ(USER-AGENT)%","none":"%REQ(X)%","both":"%PROTOCOL% %DURATION%"}}}}`), m); err != nil {
		t.Fatal(err)
	}
	files := new(Files)
	l, err := Compile(m, Options{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	l.Log(request())
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := `{"agent":"cur\"l\u000a","both":"HTTP/1.1 12","code":200,"none":null}` + "\n"; err != nil || string(got) != want {
		t.Errorf("%s %v, want %s", got, err, want)
	}
	if fi, _ := os.Stat(path); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
}

// TestFlush waits for the line to come out by itself.
func TestFlush(t *testing.T) {
	out := make(writes, 1)
	s := &sink{w: out}
	f, err := format.Text("line %RESPONSE_CODE%\n", false)
	if err != nil {
		t.Fatal(err)
	}
	s.write(f, request())
	select {
	case b := <-out:
		if string(b) != "line 200\n" {
			t.Errorf("%q", b)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing is written")
	}
}

type writes chan []byte

func (w writes) Write(b []byte) (int, error) { w <- bytes.Clone(b); return len(b), nil }

// TestReopen renames a file under the log, as what rotates logs does.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "log"), filepath.Join(dir, "log.1")
	files := new(Files)
	s, err := files.open(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := format.Text("%RESPONSE_CODE%\n", false)
	if err != nil {
		t.Fatal(err)
	}
	x := request()
	s.write(f, x)
	if err := os.Rename(path, old); err != nil {
		t.Fatal(err)
	}
	if err := files.Reopen(); err != nil {
		t.Fatal(err)
	}
	x.Response.Status = 404
	s.write(f, x)
	files.Flush()
	for p, want := range map[string]string{old: "200\n", path: "404\n"} {
		if b, err := os.ReadFile(p); err != nil || string(b) != want {
			t.Errorf("%s: %q %v, want %q", p, b, err, want)
		}
	}
	// What cannot be opened stays in use.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := files.Reopen(); err == nil {
		t.Error("a file in a folder that is gone is opened")
	}
	s.write(f, x)
	if err := files.Close(); err != nil {
		t.Error(err)
	}
}
