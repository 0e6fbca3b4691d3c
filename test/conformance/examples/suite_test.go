package examples

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// example is testdata/NAME.yaml with what it is sent. In the file $NAME is a port, of a
// service where there is one of that name, else of the proxy; $DIR is a folder of files, in
// which those of testdata/NAME are, too.
type example struct {
	name string
	asks []ask
}

// ask sends something to a proxy's ports and tells what came back.
type ask struct {
	says    string
	do      func(p proxy) string
	differs string // why usher-proxy answers otherwise; "": it must not
}

// but is an ask that usher-proxy answers otherwise.
func (a ask) but(why string) ask {
	a.differs = why
	return a
}

// proxy is a running program.
type proxy struct {
	t     *testing.T
	ports map[string]int
	dir   string
}

func (p proxy) address(name string) string {
	if p.ports[name] == 0 {
		p.t.Fatalf("the file has no port $%s", name)
	}
	return fmt.Sprint("127.0.0.1:", p.ports[name])
}

var placeholder = regexp.MustCompile(`\$[A-Z][A-Z0-9_]*`)

// start starts a program on an example's file, with ports of its own.
func start(t *testing.T, e *example, services map[string]int, program string, args ...string) (proxy, func()) {
	t.Helper()
	more, err := filepath.Glob(filepath.Join("testdata", e.name, "*"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files(t, dir)
	p := proxy{t, map[string]int{}, dir}
	var own []int
	value := func(name string) string {
		name = name[1:]
		if name == "DIR" {
			return dir
		}
		if services[name] != 0 {
			return fmt.Sprint(services[name])
		}
		if p.ports[name] == 0 {
			p.ports[name] = harness.FreePorts(t, 1)[0]
			own = append(own, p.ports[name])
		}
		return fmt.Sprint(p.ports[name])
	}
	file := filepath.Join(dir, "envoy.yaml")
	fill(t, filepath.Join("testdata", e.name+".yaml"), file, value)
	for _, from := range more {
		fill(t, from, filepath.Join(dir, filepath.Base(from)), value)
	}
	return p, harness.Serve(t, own, program, append([]string{"-c", file}, args...)...)
}

// fill copies a file with its placeholders filled.
func fill(t *testing.T, from, to string, value func(string) string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(placeholder.ReplaceAllStringFunc(string(text), value)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (e *example) run(t *testing.T, services map[string]int, program string, args ...string) []string {
	t.Helper()
	p, stop := start(t, e, services, program, args...)
	defer stop()
	var out []string
	for _, a := range e.asks {
		out = append(out, a.do(p))
	}
	return out
}

func TestExamples(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	services := serve(t)
	n := 0
	for i := range examples {
		e := &examples[i]
		t.Run(e.name, func(t *testing.T) {
			es := e.run(t, services, envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
			us := e.run(t, services, usher)
			for i, a := range e.asks {
				n++
				if (es[i] == us[i]) != (a.differs == "") {
					t.Errorf("%s (%s):\nEnvoy:\n%s\nusher:\n%s", a.says, a.differs, es[i], us[i])
				}
				if testing.Verbose() {
					t.Logf("%s:\n%s", a.says, us[i])
				}
			}
		})
	}
	t.Logf("%d answers are compared", n)
}

// listen serves until the test ends.
func listen(t *testing.T, serve func(net.Listener)) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go serve(ln)
	return ln.Addr().(*net.TCPAddr).Port
}

// shown gives an answer less what depends on the time or on a port.
func shown(rs *http.Response, body string, err error) string {
	var lines []string
	for k, v := range rs.Header {
		switch k {
		case "Date", "X-Envoy-Upstream-Service-Time":
		default:
			lines = append(lines, fmt.Sprintf("%s: %q", k, v))
		}
	}
	for k, v := range rs.Trailer {
		lines = append(lines, fmt.Sprintf("trailer %s: %q", k, v))
	}
	out := fmt.Sprintf("%s %d\n%s\n%s", rs.Proto, rs.StatusCode, sorted(lines), body)
	if err != nil {
		out += "\n" + err.Error()
	}
	// Where the client is on its own machine, Envoy says the machine's address instead.
	out = forwardedFor.ReplaceAllString(out, "X-Forwarded-For: [${1}LOCAL\"]")
	return withoutPorts.ReplaceAllString(out, "127.0.0.1:PORT")
}

var forwardedFor = regexp.MustCompile(`X-Forwarded-For: \["((?:.*,)?)[^",]+"\]`)

var withoutPorts = regexp.MustCompile(`127\.0\.0\.1:\d+`)

const patience = 20 * time.Second
