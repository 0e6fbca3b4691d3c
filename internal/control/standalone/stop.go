package standalone

import (
	"context"
	"errors"
	"sync"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
	"github.com/usher-mesh/usher/internal/workload"
)

// StopAll stops all workloads of the home, side by side, then its gateways. With a
// registry their objects go too.
func StopAll(ctx context.Context, h home.Dir, r *workload.Registry) error {
	all, err := workload.List(h)
	if err != nil {
		return err
	}
	var services, gateways []*workload.Local
	for i := range all {
		if all[i].Spec.Kind == spec.Gateway {
			gateways = append(gateways, &all[i])
		} else {
			services = append(services, &all[i])
		}
	}
	return errors.Join(stopEach(ctx, services, r), stopEach(ctx, gateways, r))
}

func stopEach(ctx context.Context, all []*workload.Local, r *workload.Registry) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, l := range all {
		wg.Go(func() {
			errs[i] = workload.Stop(ctx, l)
			if r != nil && l.Spec.Kind != spec.Gateway {
				errs[i] = errors.Join(errs[i], r.Unregister(ctx, l.Spec.Namespace, l.Spec.Name, l.Spec.Service))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
