package workload

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// ErrRunning says that there is a workload of that name already.
var ErrRunning = errors.New("is running already")

// Endpoints are where a sidecar finds its control plane.
type Endpoints struct{ XDS, CA, Mirror string }

// Prepare makes everything that the supervisor of the workload needs: folder,
// description, token, roots and objects. Restart is spec.Always or spec.Never.
func Prepare(ctx context.Context, h home.Dir, r *Registry, d *Definition, e Endpoints, restart spec.Restart) (*Local, error) {
	if _, err := exec.LookPath(d.Command[0]); err != nil {
		return nil, fmt.Errorf("workload %s/%s: command: %w", d.Namespace, d.Name, err)
	}
	old, err := Find(h, d.Namespace, d.Name)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Alive {
		return nil, fmt.Errorf("workload %s/%s %w (pid %d): stop it with `usher stop -n %s %s`",
			d.Namespace, d.Name, ErrRunning, old.State.SupervisorPID, d.Namespace, d.Name)
	}
	s, err := d.describe(h)
	if err != nil {
		return nil, err
	}
	s.XDS, s.CA, s.Mirror, s.Restart = e.XDS, e.CA, e.Mirror, restart
	return prepare(ctx, h, r, s)
}

// prepare writes the folder and the objects of a described workload. The
// description comes last: with it the workload is there.
func prepare(ctx context.Context, h home.Dir, r *Registry, s *spec.Spec) (*Local, error) {
	dir := h.Workload(s.Namespace, s.Name)
	if err := Forget(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir.Cache(), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(dir.State()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := r.Register(ctx, s); err != nil {
		return nil, err
	}
	if !s.NoSidecar {
		if err := r.WriteToken(ctx, s.Namespace, s.ServiceAccount, dir.Token()); err != nil {
			return nil, err
		}
		root, err := os.ReadFile(h.Root())
		if err != nil {
			return nil, err
		}
		if err := atomicfile.Write(dir.Root(), root, 0o600); err != nil {
			return nil, err
		}
	}
	if err := s.Write(dir.Spec()); err != nil {
		return nil, err
	}
	return &Local{Dir: dir, Spec: s}, nil
}

// Forget drops what an earlier life of the workload left in its cache: its ports and
// its policy may be others now, and who starts a workload has a control plane.
func Forget(dir home.WorkloadDir) error { return os.RemoveAll(dir.Cache()) }

// describe chooses what the definition leaves open: address, ports, host name and
// credential.
func (d *Definition) describe(h home.Dir) (*spec.Spec, error) {
	others, err := List(h)
	if err != nil {
		return nil, err
	}
	addr, err := chooseAddress(string(h), d.Namespace, d.Name, func(a netip.Addr) bool {
		for _, o := range others {
			if o.Spec.Address == a.String() && (o.Spec.Namespace != d.Namespace || o.Spec.Name != d.Name) {
				return true
			}
		}
		_, err := tryPort(a, 0)
		return err != nil
	})
	if err != nil {
		return nil, err
	}
	s := &spec.Spec{
		Name: d.Name, Namespace: d.Namespace, Service: d.Service, Version: d.Version,
		ServiceAccount: d.ServiceAccount, Kind: spec.Sidecar, NoSidecar: d.NoSidecar,
		Labels: d.Labels(), Command: d.Command, Workdir: d.Dir,
		Address: addr.String(), Hostname: hostname(d.Service, d.Version),
	}
	if d.NoSidecar {
		s.Address = loopback.String()
	}
	for _, p := range d.ports {
		sp, err := d.port(addr, p)
		if err != nil {
			return nil, fmt.Errorf("port %s: %w", p.Name, err)
		}
		s.Ports = append(s.Ports, sp)
	}
	if d.NoSidecar {
		return s, nil
	}
	s.Credential = rand.Text()
	for _, to := range []*string{&s.Outbound, &s.Admin} {
		ap, err := choosePort(addr, 0)
		if err != nil {
			return nil, err
		}
		*to = ap.String()
	}
	s.AdminSocket, err = adminSocket(h, d.Namespace, d.Name)
	return s, err
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func (d *Definition) port(addr netip.Addr, p Port) (spec.Port, error) {
	app, err := choosePort(loopback, p.AppPort)
	if p.AppPort != 0 {
		// The command listens where its user says, or fails by itself.
		app, err = netip.AddrPortFrom(loopback, p.AppPort), nil
	}
	if err != nil {
		return spec.Port{}, err
	}
	sp := spec.Port{Name: p.Name, Protocol: p.Protocol(), Port: p.Port, App: app.String()}
	if d.NoSidecar {
		return sp, nil
	}
	in, err := choosePort(addr, p.Port)
	sp.Inbound = in.String()
	return sp, err
}
