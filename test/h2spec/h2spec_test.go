package h2spec

import (
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"
)

// exceptions are tests that the proxy does not pass, by codec. Those of RFC 7540's
// priorities, which RFC 9113 has withdrawn, are passed.
var exceptions = map[string]map[string]bool{
	// What is no preface is HTTP/1.1 there, and is answered as such.
	"AUTO": {"http2/3.5: Sends invalid connection preface": true},
}

const bootstrap = `
static_resources:
  listeners:
  - name: h2
    address: {socket_address: {address: 127.0.0.1, port_value: %d}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: h2
          codec_type: %s
          http2_protocol_options: {override_stream_error_on_invalid_http_message: %v}
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: up}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
  - name: up
    type: STATIC
    load_assignment: {cluster_name: up, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}
`

// serve runs the built proxy in front of a server and gives its port.
func serve(t *testing.T, codec string, streamErrors bool) int {
	program, err := filepath.Abs("../../bin/usher-proxy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatal("make build first: ", err)
	}
	up, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello world") })}
	go server.Serve(up)
	t.Cleanup(func() { server.Close() })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	file := filepath.Join(t.TempDir(), "bootstrap.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, bootstrap, port, codec, streamErrors, up.Addr().(*net.TCPAddr).Port), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := exec.Command(program, "-c", file)
	proxy.Stderr = os.Stderr
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Process.Kill(); proxy.Wait() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			c.Close()
			return port
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// report is h2spec's JUnit report.
type report struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		Name    string `xml:"name,attr"`
		ID      string `xml:"id,attr"`
		Cases   []struct {
			Name    string    `xml:"classname,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func TestH2spec(t *testing.T) {
	for _, tt := range []struct {
		codec        string
		streamErrors bool
	}{{"HTTP2", false}, {"AUTO", true}} {
		t.Run(tt.codec, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report.xml")
			c := &config.Config{Host: "127.0.0.1", Port: serve(t, tt.codec, tt.streamErrors), Path: "/", Timeout: 2 * time.Second,
				MaxHeaderLen: 4000, Strict: true, JUnitReport: file}
			if _, err := h2spec.Run(c); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var r report
			if err := xml.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
			passed := 0
			for _, s := range r.Suites {
				for _, x := range s.Cases {
					name := s.Package + ": " + x.Name
					switch bad := x.Failure != nil || x.Error != nil || x.Skipped != nil; {
					case bad != exceptions[tt.codec][name]:
						t.Errorf("%s: failed or left out: %v", name, bad)
					case !bad:
						passed++
					}
				}
			}
			if passed < 140 {
				t.Errorf("only %d tests have passed", passed)
			}
			t.Logf("%d passed", passed)
		})
	}
}
