package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func get(t *testing.T, h http.Handler, header http.Header) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestChain(t *testing.T) {
	recommendation := httptest.NewServer(service("recommendation", "v1", func(string) string { return "recommendation-v1-b4d67bcb7-7rp88" }))
	defer recommendation.Close()
	preference := httptest.NewServer(&caller{name: "preference", next: recommendation.URL, client: recommendation.Client()})
	defer preference.Close()
	customer := &caller{name: "customer", next: preference.URL, client: preference.Client()}
	for _, want := range []string{
		"customer => preference => recommendation v1 from 'recommendation-v1-b4d67bcb7-7rp88': 1\n",
		"customer => preference => recommendation v1 from 'recommendation-v1-b4d67bcb7-7rp88': 2\n",
	} {
		if status, text := get(t, customer, nil); status != http.StatusOK || text != want {
			t.Errorf("got %d %q, want 200 %q", status, text, want)
		}
	}
}

func TestUpstreamFails(t *testing.T) {
	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "Origin Jwt is missing")
	}))
	preference := httptest.NewServer(&caller{name: "preference", next: refuse.URL, client: refuse.Client()})
	defer preference.Close()
	customer := &caller{name: "customer", next: preference.URL, client: preference.Client()}
	status, text := get(t, customer, nil)
	const want = "customer => Error: 503 - preference => Error: 401 - Origin Jwt is missing\n"
	if status != http.StatusServiceUnavailable || text != want {
		t.Errorf("got %d %q, want 503 %q", status, text, want)
	}
	gone := refuse.URL
	refuse.Close()
	status, text = get(t, &caller{name: "customer", next: gone, client: newClient()}, nil)
	if status != http.StatusServiceUnavailable || !strings.HasPrefix(text, "customer => Error: 503 - no answer from") {
		t.Errorf("upstream that is away: got %d %q", status, text)
	}
}

func TestHeadersGoOn(t *testing.T) {
	var got http.Header
	next := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer next.Close()
	in := http.Header{}
	for _, name := range passedOn {
		in.Set(name, "value of "+name)
	}
	in.Set("Cookie", "session=1")
	in.Set("X-Forwarded-Client-Cert", "By=me")
	get(t, &caller{name: "customer", next: next.URL, client: next.Client()}, in)
	for _, name := range passedOn {
		if v := got.Get(name); v != "value of "+name {
			t.Errorf("%s arrives as %q", name, v)
		}
	}
	for _, name := range []string{"Cookie", "X-Forwarded-Client-Cert"} {
		if v := got.Get(name); v != "" {
			t.Errorf("%s goes on as %q, want it to stay", name, v)
		}
	}
}

func TestDrains(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		plain(w, http.StatusOK, "done")
	})
	ctx, cancel := context.WithCancel(context.Background())
	served, answered := make(chan error, 1), make(chan string, 1)
	go func() { served <- serve(ctx, l, h) }()
	go func() {
		r, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		answered <- string(text)
	}()
	<-entered
	cancel()
	select {
	case err := <-served:
		t.Fatalf("ended with a request in flight: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if text := <-answered; text != "done" {
		t.Errorf("request in flight got %q", text)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestUsage(t *testing.T) {
	none := func(string) string { return "" }
	for _, args := range [][]string{nil, {"cart"}, {"customer", "more"}, {"customer", "-nope"}} {
		if err := run(slog.New(slog.DiscardHandler), args, none); err != errUsage {
			t.Errorf("run %q: %v, want the usage", args, err)
		}
	}
}
