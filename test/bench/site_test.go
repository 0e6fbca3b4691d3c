package main

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/proxy/app"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap"
)

// TestSite wants files that the proxy takes, and tokens that are good, different
// and bad once tampered with.
func TestSite(t *testing.T) {
	const tokens = 5
	s, err := newSite(tokens)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)

	b, err := bootstrap.Load(s.File("bootstrap.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Validate(app.Options{Bootstrap: b, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Error(err)
	}

	text, err := os.ReadFile(s.File("jwks.json"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jose.ParseKeySet(text)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(token string) error {
		parsed, err := jose.Parse(token, 0)
		if err != nil {
			return err
		}
		_, err = keys.Verify(parsed)
		return err
	}
	different := map[string]bool{}
	for _, token := range s.tokens {
		different[token] = true
	}
	if len(different) != tokens {
		t.Errorf("%d different tokens, want %d", len(different), tokens)
	}
	first := s.tokens[0]
	if err := verify(first); err != nil {
		t.Error(err)
	}
	if err := verify(tamper(first)); err == nil {
		t.Error("a tampered token is good")
	}

	lua, err := os.ReadFile(s.File("headers.lua"))
	if err != nil {
		t.Fatal(err)
	}
	const withoutHost = 19
	if n := strings.Count(string(lua), `["`); n != withoutHost {
		t.Errorf("%d fields, want %d and Host", n, withoutHost)
	}
}

func TestPick(t *testing.T) {
	picked, err := pick("mesh,plain")
	if err != nil || len(picked) != 2 || picked[0].name != "plain" || picked[1].name != "mesh" {
		t.Errorf("got %v, %v", picked, err)
	}
	const want = `-work: there is no "plane", only plain,headers,post,jwt,jwt-cache,mesh,configured,h2`
	if _, err := pick("plain,plane"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
