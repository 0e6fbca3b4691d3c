package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// peer is one proxy under test.
type peer struct {
	name, path string
	args       []string
	fileFlag   string // comes before the configuration file
	env        []string
	file       string   // of the site
	listeners  []string // those that its files have
}

func (p *peer) command(file string) []string {
	return append(append([]string{p.path}, p.args...), p.fileFlag, file)
}

func (p *peer) serves(w work) bool { return slices.Contains(p.listeners, w.listener) }

func (p *peer) fileFor(w work) string {
	return cmp.Or(w.file, p.file)
}

// find gives the path of a program; the error is for people.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not on this machine", program)
	}
	return path, nil
}

// findEnvoy gives $ENVOY, the one on PATH, or the one that .ci/run installs.
func findEnvoy(string) (string, error) {
	if e := os.Getenv("ENVOY"); e != "" {
		_, err := os.Stat(e)
		return e, err
	}
	if e, err := exec.LookPath("envoy"); err == nil {
		return e, nil
	}
	const installed = ".cache/envoy/envoy/_bin/envoy"
	if _, err := os.Stat(installed); err != nil {
		return "", fmt.Errorf("neither $ENVOY nor envoy on PATH nor %s is there", installed)
	}
	return filepath.Abs(installed)
}

// findUsher gives what `make build` has built.
func findUsher(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run `make build`", err)
	}
	return filepath.Abs(path)
}

// findPeers gives the proxies that are on this machine, and a line for each that is
// not. bin is the folder of usher-proxy.
func findPeers(bin string) (found []*peer, missing []string) {
	all := []string{"plain", "jwt", "jwt-cache", "mesh", "h2"}
	for _, c := range []struct {
		peer
		program string
		find    func(string) (string, error)
	}{
		{peer{name: "nginx", file: "nginx.conf", listeners: []string{"plain", "mesh"},
			args: []string{"-e", "stderr"}, fileFlag: "-c"}, "nginx", find},
		{peer{name: "haproxy", file: "haproxy.cfg", listeners: []string{"plain", "jwt"},
			fileFlag: "-f"}, "haproxy", find},
		{peer{name: "envoy", file: "bootstrap.json", listeners: all,
			args: []string{"--concurrency", "1", "-l", "error", "--disable-hot-restart"}, fileFlag: "-c"}, "envoy", findEnvoy},
		{peer{name: "usher", file: "bootstrap.json", listeners: append(all, "configured"),
			args: []string{"-l", "error"}, fileFlag: "-c", env: []string{"GOMAXPROCS=1"}}, filepath.Join(bin, "usher-proxy"), findUsher},
	} {
		path, err := c.find(c.program)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", c.name, err))
			continue
		}
		c.path = path
		found = append(found, &c.peer)
	}
	return found, missing
}

// accepts asks a proxy that reads Envoy's bootstrap files whether it takes one; the
// error has its last words.
func (p *peer) accepts(ctx context.Context, file string) error {
	argv := append(p.command(file), "--mode", "validate")
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("does not take the configuration: %s", lastLine(out))
	}
	return nil
}
