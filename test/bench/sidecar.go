package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// sidecarStarts measures from the start of a new workload's sidecar, which has no
// certificate and no configuration yet, to the first request that it serves.
func (s *startup) sidecarStarts(ctx context.Context) error {
	var took []float64
	for range s.Starts {
		t, err := s.mesh.sidecarStart(ctx, "fresh")
		if err != nil {
			return err
		}
		took = append(took, millis(t))
		if _, err := s.mesh.usher(ctx, "stop", "fresh-v1", "-n", namespace); err != nil {
			return err
		}
	}
	s.add("sidecar, start to first request served", median(took), 300, "ms")
	return nil
}

// sidecarStart runs a service of the chapter under another name, and leaves it
// running.
func (m *mesh) sidecarStart(ctx context.Context, service string) (time.Duration, error) {
	run := m.command(ctx, "run", "-n", namespace, "--service", service, "--detach", "--", filepath.Join(m.bin, "tutorial"), "recommendation")
	var said bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	if err := run.Start(); err != nil {
		return 0, err
	}
	var age time.Duration
	err := m.awaitInbound(ctx, service+"-v1")
	if err == nil {
		_, sidecar, werr := m.workload(service + "-v1")
		if err = werr; err == nil {
			age, err = sidecar.age()
		}
	}
	if rerr := run.Wait(); rerr != nil && !errors.Is(rerr, exec.ErrWaitDelay) {
		return 0, fmt.Errorf("usher run: %w: %s", rerr, lastLine(said.Bytes()))
	}
	return age, err
}

// awaitInbound asks a workload's sidecar until it serves; where that listens stands
// in the workload's description, once there is one.
func (m *mesh) awaitInbound(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		w, err := spec.Read(m.home.Workload(namespace, name).Spec())
		if err == nil && len(w.Ports) > 0 {
			var status int
			status, err = m.status(ctx, "http://"+w.Ports[0].Inbound+"/")
			if err == nil && status == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("workload %s serves nothing: %w", name, err)
		}
	}
}
