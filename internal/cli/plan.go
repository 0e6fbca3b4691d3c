package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/usher-mesh/usher/internal/control/standalone"
	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/manifest"
	"github.com/usher-mesh/usher/internal/meshfile"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
	"github.com/usher-mesh/usher/internal/workload"
)

// plan is what the files of `usher up -f` ask for, read and checked before
// anything is started.
type plan struct {
	namespace string // "" keeps the kubeconfig's
	manifests []source
	workloads []*workload.Definition
}

type source struct {
	path string
	data []byte
}

// workloadTimeout bounds the start of one workload.
const workloadTimeout = 30 * time.Second

func readPlan(files []string) (*plan, error) {
	p := &plan{}
	bin, err := binDir()
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		data, err := meshfile.Read(path)
		if err != nil {
			return nil, err
		}
		if meshfile.IsManifest(data) {
			p.manifests = append(p.manifests, source{path, data})
			continue
		}
		f, err := meshfile.Parse(path, data, bin, "default")
		if err != nil {
			return nil, err
		}
		if f.Namespace != "" {
			p.namespace = f.Namespace
		}
		for _, m := range f.Apply {
			data, err := meshfile.Read(m)
			if err != nil {
				return nil, fmt.Errorf("%s: apply: %w", path, err)
			}
			p.manifests = append(p.manifests, source{m, data})
		}
		p.workloads = append(p.workloads, f.Workloads...)
	}
	return p, nil
}

// apply brings the mesh to what the plan says. Workloads that run already are left
// alone. It returns when the workloads run and the gateway has what was applied.
func (p *plan) apply(ctx context.Context, h home.Dir, up *standalone.Up, cfg *rest.Config, say func(string)) ([]*workload.Local, error) {
	// One at a time: two that start the same workload would take it from each other.
	alone, err := standalone.AwaitLock(ctx, h.Applying())
	if err != nil {
		return nil, err
	}
	defer alone.Close()
	registry, err := workload.NewRegistry(cfg)
	if err != nil {
		return nil, err
	}
	if p.namespace != "" {
		if err := registry.CreateNamespace(ctx, p.namespace); err != nil {
			return nil, fmt.Errorf("create namespace %s: %w", p.namespace, err)
		}
		if err := standalone.SetNamespace(h, p.namespace); err != nil {
			return nil, err
		}
	}
	applied, err := p.applyManifests(ctx, h, cfg, say)
	if err != nil {
		return nil, err
	}
	started, err := p.startWorkloads(ctx, h, up, registry, say)
	if err != nil {
		return started, err
	}
	return started, manifest.AwaitProgrammed(ctx, cfg, applied)
}

func (p *plan) applyManifests(ctx context.Context, h home.Dir, cfg *rest.Config, say func(string)) ([]manifest.Applied, error) {
	if len(p.manifests) == 0 {
		return nil, nil
	}
	ns, err := defaultNamespace(h)
	if err != nil {
		return nil, err
	}
	applier, err := manifest.New(cfg)
	if err != nil {
		return nil, err
	}
	var all []manifest.Applied
	for _, m := range p.manifests {
		done, err := applier.Apply(ctx, m.path, m.data, ns)
		all = append(all, done...)
		if err != nil {
			return all, err
		}
		for _, d := range done {
			say("applied " + d.String())
		}
	}
	return all, nil
}

// startWorkloads starts all of them side by side: they may need each other.
func (p *plan) startWorkloads(ctx context.Context, h home.Dir, up *standalone.Up, r *workload.Registry, say func(string)) ([]*workload.Local, error) {
	bin, err := binDir()
	if err != nil {
		return nil, err
	}
	proxy, err := workload.FindProxy(bin)
	if err != nil {
		return nil, err
	}
	var started []*workload.Local
	for _, d := range p.workloads {
		l, err := workload.Prepare(ctx, h, r, d, endpoints(up), spec.Always)
		if errors.Is(err, workload.ErrRunning) {
			l, err = workload.Find(h, d.Namespace, d.Name)
			if err == nil && l != nil {
				started = append(started, l)
			}
			continue
		}
		if err == nil {
			started = append(started, l)
			err = workload.Start(l, proxy)
		}
		if err != nil {
			return started, err
		}
	}
	errs := make([]error, len(started))
	var wg sync.WaitGroup
	for i, l := range started {
		wg.Go(func() {
			if _, errs[i] = workload.Await(ctx, h, l.Spec.Namespace, l.Spec.Name, workloadTimeout, true); errs[i] == nil {
				say(fmt.Sprintf("workload %s/%s runs", l.Spec.Namespace, l.Spec.Name))
			}
		})
	}
	wg.Wait()
	return started, errors.Join(errs...)
}

func endpoints(up *standalone.Up) workload.Endpoints {
	return workload.Endpoints{XDS: up.XDS, CA: up.CA, Mirror: up.Mirror}
}

func adminConfig(h home.Dir) (*rest.Config, error) {
	return clientcmd.BuildConfigFromFlags("", h.Kubeconfig())
}

// defaultNamespace is that of the kubeconfig's context.
func defaultNamespace(h home.Dir) (string, error) {
	cfg, err := clientcmd.LoadFromFile(h.Kubeconfig())
	if err != nil {
		return "", err
	}
	if c := cfg.Contexts[cfg.CurrentContext]; c != nil && c.Namespace != "" {
		return c.Namespace, nil
	}
	return "default", nil
}
