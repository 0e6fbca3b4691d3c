package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"time"
)

// startup is one run of `bench start`.
type startup struct {
	Starts   int       `json:"starts"`
	Changes  int       `json:"changes"`
	Services int       `json:"services"`
	Budgets  []verdict `json:"budgets"`
	mesh     *mesh
}

// start is `bench start`.
func start(ctx context.Context, args []string) error {
	var s startup
	f := flag.NewFlagSet("bench start", flag.ContinueOnError)
	f.IntVar(&s.Starts, "starts", 5, "how `often` things are started; the median counts")
	f.IntVar(&s.Changes, "changes", 50, "how `many` policies are written")
	f.IntVar(&s.Services, "services", 1000, "how `many` services there are in the larger mesh")
	bin := f.String("bin", "bin", "`folder` of the programs")
	out := f.String("json", "", "write the figures to a `file`")
	if err := parse(f, args); err != nil {
		return err
	}
	if s.Starts < 1 || s.Changes < 1 || s.Services < 0 {
		return errors.New("-starts and -changes are at least 1, -services is not negative")
	}
	if runtime.GOOS != "linux" {
		fmt.Println("start, memory and propagation are left out: memory is read from Linux's /proc")
		return nil
	}
	err := s.run(ctx, *bin)
	for _, v := range s.Budgets {
		v.print(os.Stdout)
	}
	if *out != "" {
		text, jerr := json.MarshalIndent(s, "", "  ")
		if jerr != nil {
			return jerr
		}
		err = errors.Join(err, os.WriteFile(*out, append(text, '\n'), 0o644))
	}
	return err
}

func (s *startup) run(ctx context.Context, bin string) (err error) {
	if s.mesh, err = newMesh(bin); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.mesh.close(ctx)) }()
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"starts of usher up", s.secondStarts},
		{"memory", s.workloads},
		{"starts of a sidecar", s.sidecarStarts},
		{"propagation", s.propagation},
		{"propagation in a larger mesh", s.largerMesh},
	} {
		progress("%s", part.name)
		if err := part.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	progress("")
	return nil
}

// secondStarts measures `usher up` on a home that has been up before, from its
// start to the end of `--detach`, when traffic can flow. The chapter runs after it.
func (s *startup) secondStarts(ctx context.Context) error {
	if err := s.mesh.up(ctx, "-f", chapter); err != nil {
		return err
	}
	var took, resident []float64
	for range s.Starts {
		if _, err := s.mesh.usher(ctx, "down"); err != nil {
			return err
		}
		begun := time.Now()
		if err := s.mesh.up(ctx); err != nil {
			return err
		}
		took = append(took, millis(time.Since(begun)))
		mb, err := s.mesh.resident()
		if err != nil {
			return err
		}
		resident = append(resident, mb)
	}
	s.add("usher up, second start to ready", median(took), 1500, "ms")
	s.add("usher up, resident when ready", median(resident), residentUp, "MB")
	return s.mesh.up(ctx, "-f", chapter)
}

// residentUp is the budget for `usher up`, in MB.
const residentUp = 150

// resident is that of `usher up`, in MB.
func (m *mesh) resident() (float64, error) {
	r, err := m.running()
	if err != nil {
		return 0, err
	}
	p, err := readMember(fmt.Sprint(r.PID))
	return megabytes(p.resident), err
}

// workloads measures memory while requests come in. They come for longer than a
// proxy takes to give back what only its start needed.
func (s *startup) workloads(ctx context.Context) error {
	url, err := s.mesh.gateway()
	if err != nil {
		return err
	}
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		if err := s.mesh.awaitStatus(ctx, url, http.StatusOK); err != nil {
			return err
		}
	}
	var largest float64
	for _, name := range []string{"customer-v1", "preference-v1", "recommendation-v1"} {
		supervisor, sidecar, err := s.mesh.workload(name)
		if err != nil {
			return err
		}
		largest = max(largest, megabytes(supervisor.resident+sidecar.resident))
	}
	s.add("supervisor and sidecar, resident at work", largest, 30, "MB")
	mb, err := s.mesh.resident()
	s.add("usher up, resident 6 s later", mb, residentUp, "MB")
	return err
}

func (s *startup) add(name string, measured, budget float64, unit string) {
	s.Budgets = append(s.Budgets, newVerdict(name, measured, budget, unit))
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median is the middle one, or what is halfway between the two in the middle.
func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// percentile is the smallest value that p percent of all do not exceed.
func percentile(all []float64, p int) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[max(0, (len(all)*p+99)/100-1)]
}
