package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// behindHTTP starts a server with the proxy before it, which speaks HTTP/1.1 or HTTP/2
// with it.
func behindHTTP(t *testing.T, version string) proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == "1.1")
	protocols.SetUnencryptedHTTP2(version == "2")
	server := &http.Server{Handler: steps(), Protocols: protocols}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return serve(t, map[string]string{"1.1": "http_protocol_options", "2": "http2_protocol_options"}[version], ln.Addr().(*net.TCPAddr).Port)
}

// steps answers what the clients ask for. Events of a name go on once the name is
// released: a client that sees the first by then got it unbuffered.
func steps() http.Handler {
	var mu sync.Mutex
	released := map[string]chan struct{}{}
	gate := func(r *http.Request) chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		name := r.PathValue("name")
		if released[name] == nil {
			released[name] = make(chan struct{})
		}
		return released[name]
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("GET /nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Write(body)
	})
	mux.HandleFunc("GET /events/{name}", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "one\n")
		w.(http.Flusher).Flush()
		select {
		case <-gate(r):
			io.WriteString(w, "two\n")
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /release/{name}", func(w http.ResponseWriter, r *http.Request) {
		close(gate(r))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /big", func(w http.ResponseWriter, r *http.Request) {
		for piece := make([]byte, 64<<10); r.Context().Err() == nil; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	return mux
}

// TestClients has clients in three languages walk through the same steps over HTTP/1.1
// and HTTP/2, in clear and over TLS, to servers of both.
func TestClients(t *testing.T) {
	for _, server := range []string{"1.1", "2"} {
		p := behindHTTP(t, server)
		clear, secure := fmt.Sprint("http://localhost:", p.clear), fmt.Sprint("https://localhost:", p.tls)
		for _, way := range []struct{ url, version string }{{clear, "1.1"}, {secure, "1.1"}, {clear, "2"}, {secure, "2"}} {
			scheme, _, _ := strings.Cut(way.url, ":")
			name := way.version + "-" + scheme + "-to-" + server
			t.Run("Go-"+name, func(t *testing.T) { goClient(t, way.url, way.version, p.ca, "go-"+name) })
			t.Run("Node-"+name, func(t *testing.T) {
				script(t, "node", "testdata/client.mjs", way.url, way.version, p.ca, "node-"+name)
			})
			if way.version == "2" && scheme == "http" {
				continue // httpx has no prior knowledge
			}
			t.Run("Python-"+name, func(t *testing.T) {
				script(t, "python3", "testdata/client.py", way.url, way.version, p.ca, "python-"+name)
			})
		}
	}
}

// script runs a client of another language. Python's modules may be in .cache/python,
// where .ci/run puts them.
func script(t *testing.T, language, file string, args ...string) {
	if _, err := exec.LookPath(language); err != nil {
		leaveOut(t, language+" is not on this machine")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	modules, err := filepath.Abs("../../.cache/python")
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) ([]byte, error) {
		c := exec.CommandContext(ctx, language, args...)
		c.Env = append(os.Environ(), "PYTHONPATH="+modules)
		return c.CombinedOutput()
	}
	if language == "python3" {
		if _, err := run("-c", "import httpx, h2"); err != nil {
			leaveOut(t, "Python's httpx[http2] is not on this machine")
		}
	}
	if text, err := run(append([]string{file}, args...)...); err != nil {
		t.Fatalf("%v\n%.4000s", err, text)
	}
}

func goClient(t *testing.T, url, version, ca, events string) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == "1.1")
	protocols.SetHTTP2(version == "2")
	protocols.SetUnencryptedHTTP2(version == "2")
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: roots}, MaxConnsPerHost: 50}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	ask := func(method, path string, body io.Reader) (int, string, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, body)
		if err != nil {
			return 0, "", err
		}
		a, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer a.Body.Close()
		if want := map[string]int{"1.1": 1, "2": 2}[version]; a.ProtoMajor != want {
			return 0, "", fmt.Errorf("%s, want %s", a.Proto, version)
		}
		content, err := io.ReadAll(a.Body)
		return a.StatusCode, string(content), err
	}
	want := func(method, path string, body io.Reader, status int, content string) {
		t.Helper()
		s, c, err := ask(method, path, body)
		if err != nil || s != status || c != content {
			t.Errorf("%s %s: %d %.100q %v", method, path, s, c, err)
		}
	}
	want("GET", "/hello", nil, 200, "hello")
	want("HEAD", "/hello", nil, 200, "")
	want("GET", "/nothing", nil, 204, "")
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	want("POST", "/echo", bytes.NewReader(big), 200, string(big))
	want("POST", "/echo", struct{ io.Reader }{bytes.NewReader(big)}, 200, string(big)) // no length
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			text := fmt.Sprint("number ", i)
			want("POST", "/echo", strings.NewReader(text), 200, text)
		})
	}
	all.Wait()

	stream, err := client.Get(url + "/events/" + events)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	one := make([]byte, 4)
	if _, err := io.ReadFull(stream.Body, one); err != nil || string(one) != "one\n" {
		t.Fatalf("first event %q %v", one, err)
	}
	want("POST", "/release/"+events, nil, 204, "")
	if rest, err := io.ReadAll(stream.Body); err != nil || string(rest) != "two\n" {
		t.Errorf("second event %q %v", rest, err)
	}

	half, err := client.Get(url + "/big")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(half.Body, make([]byte, 100_000)); err != nil {
		t.Error(err)
	}
	half.Body.Close()
	want("GET", "/hello", nil, 200, "hello")
}
