package harness

import (
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// presented are the beginnings of the signatures of all tokens that tests have shown
// to a mesh. None of them may be found in what a mesh writes or tells.
var presented sync.Map

// window is how much of a signature is looked for: 256 bits, so nothing has it by
// chance, and a token that was cut short is found too.
const window = 43

var jwt = regexp.MustCompile(`[\w-]{10,}\.[\w-]{10,}\.([\w-]{43,})`)

// present remembers the tokens in a text that is sent to a mesh.
func present(text string) {
	for _, m := range jwt.FindAllStringSubmatch(text, -1) {
		presented.Store(m[1][:window], true)
	}
}

// noTokensKept fails the test if a file of the home holds a part of a signature that
// was presented.
func noTokensKept(t testing.TB, home string) {
	t.Helper()
	err := filepath.WalkDir(home, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // files come and go while the mesh runs
		}
		data, err := os.ReadFile(p)
		if err == nil && holdsToken(data) {
			t.Errorf("%s holds the signature of a token", strings.TrimPrefix(p, home))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// noTokensTold is the same for what the processes of the mesh tell on their sockets.
func noTokensTold(t testing.TB, home string) {
	t.Helper()
	sockets, _ := filepath.Glob(filepath.Join(home, "run", "*.sock"))
	for _, socket := range sockets {
		for _, path := range []string{"/config", "/config_dump?include_eds", "/stats", "/stats/prometheus", "/clusters", "/clusters?format=json", "/certs", "/server_info", "/init_dump", "/metrics", "/debug/model", "/debug/proxies", "/debug/jwks", "/debug/xds"} {
			if holdsToken(tell(socket, path)) {
				t.Errorf("%s%s holds the signature of a token", filepath.Base(socket), path)
			}
		}
	}
}

func holdsToken(data []byte) bool {
	run := 0
	for i, c := range data {
		if c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			if run++; run >= window {
				if _, ok := presented.Load(string(data[i-window+1 : i+1])); ok {
					return true
				}
			}
			continue
		}
		run = 0
	}
	return false
}

// tell gives what a process says on its socket, nothing if it says nothing.
func tell(socket, path string) []byte {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	resp, err := c.Get("http://usher" + path)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return data
}
