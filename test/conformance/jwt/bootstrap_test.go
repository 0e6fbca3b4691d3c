package jwt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-mesh/usher/test/harness"
)

// files are what a run reads and writes.
type files struct {
	bootstrap string // the one that both programs get
	accessLog string
	admin     int // port
}

// write makes the bootstrap file of the worlds, and gives each its port.
func write(t *testing.T, dir string, worlds []*world, u *upstream, more ...object) files {
	t.Helper()
	f := files{bootstrap: filepath.Join(dir, "bootstrap.json"), accessLog: filepath.Join(dir, "access.log")}
	ports := harness.FreePorts(t, len(worlds)+1)
	f.admin = ports[0]
	listeners := list{}
	for i, w := range worlds {
		w.port = ports[i+1]
		listeners = append(listeners, w.listener(f.accessLog))
	}
	clusters := list{cluster("upstream", u.port)}
	for _, c := range more {
		clusters = append(clusters, c)
	}
	b, err := json.MarshalIndent(object{
		"node":             object{"id": "conformance", "cluster": "conformance"},
		"admin":            object{"address": address(f.admin)},
		"static_resources": object{"listeners": listeners, "clusters": clusters},
	}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.bootstrap, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}
