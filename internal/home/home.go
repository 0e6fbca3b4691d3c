// Package home knows where a mesh keeps its state on one machine ($USHER_HOME):
// the names of the folders and files, and nothing of what is in them.
package home

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Dir is the folder of one mesh. Every folder in it is 0700.
type Dir string

// Default is $USHER_HOME, else ${XDG_STATE_HOME:-~/.local/state}/usher.
func Default() (Dir, error) {
	if d := os.Getenv("USHER_HOME"); d != "" {
		abs, err := filepath.Abs(d)
		return Dir(abs), err
	}
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) { // a relative one counts as unset, says its specification
		return Dir(filepath.Join(d, "usher")), nil
	}
	h, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home folder to keep the mesh in (set USHER_HOME): %w", err)
	}
	return Dir(filepath.Join(h, ".local", "state", "usher")), nil
}

func (d Dir) join(e ...string) string { return filepath.Join(append([]string{string(d)}, e...)...) }

// Lock is held (flock) by the one `usher up` of this home.
func (d Dir) Lock() string { return d.join("lock") }

// Owner is locked (fcntl) by the process of the mesh, for as long as it holds Lock: so
// the kernel can tell its pid, and never that of another process.
func (d Dir) Owner() string { return d.join("owner") }

// Applying is held (flock) by whoever brings the mesh to what its files say.
func (d Dir) Applying() string { return d.join("applying") }

// Ports holds the ports that were chosen for this home, as JSON.
func (d Dir) Ports() string { return d.join("ports.json") }

// Up describes the running `usher up`: pid, addresses. JSON. It is good only while
// Lock is held: who takes the lock removes what an earlier one left.
func (d Dir) Up() string { return d.join("up.json") }

// Kubeconfig is the admin's, 0600.
func (d Dir) Kubeconfig() string { return d.join("kubeconfig") }

// Etcd is the folder of etcd's data.
func (d Dir) Etcd() string { return d.join("etcd") }

// APIPKI is the folder of the API server's certificate authority and keys.
func (d Dir) APIPKI() string { return d.join("pki", "api") }

// MeshPKI is the folder of the mesh's certificate authority and its key.
func (d Dir) MeshPKI() string { return d.join("pki", "mesh") }

// Root is the mesh's root certificates, PEM, for whoever joins the mesh.
func (d Dir) Root() string { return d.join("root-cert.pem") }

// Issuer is the folder of the development issuer's keys.
func (d Dir) Issuer() string { return d.join("issuer") }

// JWKS is the folder of the mirror's last good key sets.
func (d Dir) JWKS() string { return d.join("jwks") }

// Log is the folder of the control plane's own logs.
func (d Dir) Log() string { return d.join("log") }

// Workloads is the folder of all local workloads, gateways included.
func (d Dir) Workloads() string { return d.join("workloads") }

// Workload is the folder of one local workload.
func (d Dir) Workload(namespace, name string) WorkloadDir {
	return WorkloadDir(d.join("workloads", namespace, name))
}

// maxSocket leaves room for a file name within the 107 bytes of a Unix socket's
// path.
const maxSocket = 70

// Sockets is a folder for Unix sockets: below the home if paths there are short
// enough for a socket, else one of this user in the temporary folder, named by
// the home's hash. It is made with mode 0700; one that somebody else owns is an
// error.
func (d Dir) Sockets() (string, error) {
	p := d.join("run")
	if len(p) <= maxSocket {
		return p, os.MkdirAll(p, 0o700)
	}
	h := sha256.Sum256([]byte(d))
	p = filepath.Join("/tmp", "usher-"+strconv.Itoa(os.Getuid())+"-"+hex.EncodeToString(h[:6]))
	if err := os.Mkdir(p, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	fi, err := os.Lstat(p)
	if err != nil {
		return "", err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || !fi.IsDir() || int(st.Uid) != os.Getuid() || fi.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s: not a folder of this user alone (mode 0700)", p)
	}
	return p, nil
}
