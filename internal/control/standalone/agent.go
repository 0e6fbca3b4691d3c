package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
	"github.com/usher-mesh/usher/internal/workload"
)

const (
	// agentPeriod is how often the agent looks at the supervisors.
	agentPeriod = time.Second
	// startGrace is how long a workload may take from its description to its
	// supervisor's first word.
	startGrace = 10 * time.Second
	maxBackoff = 30 * time.Second
)

// agent watches over the local workloads.
type agent struct {
	home      home.Dir
	registry  *workload.Registry
	proxy     string
	endpoints workload.Endpoints
	log       *slog.Logger
	say       func(string)

	restart map[home.WorkloadDir]backoff
}

type backoff struct {
	next  time.Time
	delay time.Duration
}

// startGateway starts the gateway, or finds it running.
func (a *agent) startGateway(ctx context.Context, g workload.Gateway) error {
	l, err := workload.Find(a.home, g.Namespace, g.Name)
	if err != nil {
		return err
	}
	if l != nil && l.Alive {
		a.log.Info("gateway adopted", "pid", l.State.SupervisorPID)
		return a.registry.Register(ctx, l.Spec)
	}
	l, err = workload.PrepareGateway(ctx, a.home, a.registry, g, a.endpoints)
	if err != nil {
		return err
	}
	if err := workload.Start(l, a.proxy); err != nil {
		return err
	}
	_, err = workload.Await(ctx, a.home, g.Namespace, g.Name, startTimeout, true)
	return err
}

// run looks after the workloads until the context ends.
func (a *agent) run(ctx context.Context) {
	tick := time.NewTicker(agentPeriod)
	defer tick.Stop()
	a.restart = map[home.WorkloadDir]backoff{}
	for {
		all, err := workload.List(a.home)
		if err != nil {
			a.log.Warn("look at the workloads", "error", err)
		}
		for i := range all {
			if err := a.look(ctx, &all[i]); err != nil && ctx.Err() == nil {
				a.log.Warn("look after a workload", "namespace", all[i].Spec.Namespace,
					"workload", all[i].Spec.Name, "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look does what one workload needs: its objects, a fresh token, a new supervisor,
// or the end of its objects.
func (a *agent) look(ctx context.Context, l *workload.Local) error {
	s := l.Spec
	switch {
	case l.Alive:
		if stopped, err := a.keepRegistered(ctx, l); stopped || err != nil || s.NoSidecar {
			return err
		}
		return a.refreshToken(ctx, l)
	case l.State == nil && recent(l.Dir.Spec(), startGrace):
		return nil // on its way
	case s.Restart == spec.Always:
		return a.again(ctx, l)
	}
	if err := a.registry.Unregister(ctx, s.Namespace, s.Name, s.Service); err != nil {
		return err
	}
	err := os.Remove(l.Dir.Spec())
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return err
}

// keepRegistered puts back the objects of a workload that lives: without its
// WorkloadEntry the control plane does not know its proxy, which would go on with the
// policy that it has for ever. A workload whose namespace is gone is stopped.
func (a *agent) keepRegistered(ctx context.Context, l *workload.Local) (stopped bool, err error) {
	s := l.Spec
	there, err := a.registry.Registered(ctx, s)
	if there || err != nil {
		return false, err
	}
	ends, err := a.registry.NamespaceEnds(ctx, s.Namespace)
	if err != nil {
		return false, err
	}
	if ends {
		a.say(fmt.Sprintf("workload %s/%s: its namespace is gone, stopping it", s.Namespace, s.Name))
		return true, workload.Stop(ctx, l)
	}
	a.log.Warn("the WorkloadEntry of a running workload was gone; it is put back", "namespace", s.Namespace, "workload", s.Name)
	if err := a.registry.Register(ctx, s); err != nil {
		return false, err
	}
	if _, err := os.Stat(l.Dir.Spec()); errors.Is(err, os.ErrNotExist) {
		// Somebody stopped it meanwhile.
		return true, a.registry.Unregister(ctx, s.Namespace, s.Name, s.Service)
	}
	return false, nil
}

func (a *agent) refreshToken(ctx context.Context, l *workload.Local) error {
	if recent(l.Dir.Token(), workload.TokenTTL/2) {
		return nil
	}
	return a.registry.WriteToken(ctx, l.Spec.Namespace, l.Spec.ServiceAccount, l.Dir.Token())
}

// again starts a supervisor that was killed, and says so.
func (a *agent) again(ctx context.Context, l *workload.Local) error {
	b := a.restart[l.Dir]
	now := time.Now()
	if now.Before(b.next) {
		return nil
	}
	if now.Sub(b.next) > 2*maxBackoff {
		b.delay = 0
	}
	b.delay = min(max(2*b.delay, agentPeriod), maxBackoff)
	b.next = now.Add(b.delay)
	a.restart[l.Dir] = b
	a.say(fmt.Sprintf("workload %s/%s: its supervisor is gone, starting it again", l.Spec.Namespace, l.Spec.Name))
	if err := a.registry.Register(ctx, l.Spec); err != nil {
		return err
	}
	if !l.Spec.NoSidecar {
		if err := a.registry.WriteToken(ctx, l.Spec.Namespace, l.Spec.ServiceAccount, l.Dir.Token()); err != nil {
			return err
		}
	}
	if err := os.Remove(l.Dir.State()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := workload.Forget(l.Dir); err != nil {
		return err
	}
	return workload.Start(l, a.proxy)
}

// stop stops the workloads, then the gateway.
func (a *agent) stop(started []*workload.Local) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var alive []*workload.Local
	for _, l := range started {
		now, err := workload.Find(a.home, l.Spec.Namespace, l.Spec.Name)
		if err == nil && now != nil {
			alive = append(alive, now)
		}
	}
	err := stopEach(ctx, alive, a.registry)
	gateway, gerr := workload.Find(a.home, rootNamespace, gatewayName)
	if gerr == nil && gateway != nil {
		gerr = workload.Stop(ctx, gateway)
	}
	return errors.Join(err, gerr)
}

// recent tells whether the file is there and younger than that.
func recent(path string, age time.Duration) bool {
	fi, err := os.Stat(path)
	return err == nil && time.Since(fi.ModTime()) < age
}
