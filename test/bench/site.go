package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed conf
var conf embed.FS

// site is the temporary folder of one comparison, with all files that proxies,
// upstreams and load generators read. Its exported parts are what the templates in
// conf use. One proxy runs at a time, so all of them get the same ports.
type site struct {
	dir    string
	Port   map[string]int // by the name of the listener
	Issuer string
	tokens []string
	// Workload is the name in the certificate of both ends of `mesh`, SPIFFE its
	// identity.
	Workload, SPIFFE string
}

// newSite fills a new folder, with so many different tokens; remove deletes it.
func newSite(tokens int) (*site, error) {
	dir, err := os.MkdirTemp("", "usher-bench-")
	if err != nil {
		return nil, err
	}
	s := &site{
		dir: dir, Issuer: "testing@secure.istio.io",
		Workload: "w", SPIFFE: "spiffe://cluster.local/ns/default/sa/w",
	}
	if err := s.fill(tokens); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *site) fill(tokens int) (err error) {
	if s.Port, err = freePorts("upstream", "upstream-h2", "plain", "jwt", "jwt-cache", "mesh", "mtls", "configured", "configured-inbound", "h2"); err != nil {
		return err
	}
	if err := s.writeTokens(tokens); err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	if err := s.writeCertificates(); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	for name, b := range map[string]any{"bootstrap.json": s.bootstrap(), "bootstrap-h2.json": s.bootstrapH2()} {
		text, err := json.MarshalIndent(b, "", "  ")
		if err != nil {
			return err
		}
		if err := s.write(name, text); err != nil {
			return err
		}
	}
	if err := os.Mkdir(s.File("www"), 0o700); err != nil {
		return err
	}
	if err := s.write("www/index.html", []byte("hello world\n")); err != nil {
		return err
	}
	return s.render()
}

// render fills in the templates of conf.
func (s *site) render() error {
	all, err := template.ParseFS(conf, "conf/*")
	if err != nil {
		return err
	}
	for _, t := range all.Option("missingkey=error").Templates() {
		f, err := os.OpenFile(s.File(t.Name()), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		err = t.Execute(f, s)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name(), err)
		}
	}
	return nil
}

// File is the path of a file of the site.
func (s *site) File(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name string, text []byte) error { return os.WriteFile(s.File(name), text, 0o600) }

// url is where a listener answers.
func (s *site) url(listener string) string {
	return fmt.Sprintf("http://127.0.0.1:%d/", s.Port[listener])
}

func (s *site) remove() { os.RemoveAll(s.dir) }
