package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/usher-mesh/usher/internal/control/issuer"
	"github.com/usher-mesh/usher/internal/jwks"
	"github.com/usher-mesh/usher/internal/mesh"
)

func (p *pipeline) keysChanged() {
	select {
	case p.keys <- struct{}{}:
	default:
	}
}

// Keys older than this are warned of, as they are looked at now and then.
const (
	oldKeys  = time.Hour
	keysTick = 5 * time.Minute
)

// warn puts what is wrong with key sets into the status of the objects that name
// them.
func (p *pipeline) warn(ctx context.Context) error {
	tick := time.NewTicker(keysTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.keys:
		case <-tick.C:
		}
		p.status.Warn(p.warnings(time.Now()))
	}
}

func (p *pipeline) warnings(now time.Time) map[mesh.Ref][]string {
	m := p.model.Load()
	if m == nil {
		return nil
	}
	found := map[string][]string{} // by URI
	for _, s := range p.mirror.States() {
		found[s.URI] = faults(s, now)
	}
	out := map[mesh.Ref][]string{}
	for _, k := range m.KeySets {
		name := "key set " + jwks.Shown(k.URI)
		if k.Issuer != "" {
			name = "keys of issuer " + jwks.Shown(k.Issuer)
		}
		for _, ref := range k.Owners {
			for _, f := range found[k.URI] {
				out[ref] = append(out[ref], name+": "+f)
			}
		}
	}
	return out
}

// faults are what whoever named the set should know of it.
func faults(s jwks.State, now time.Time) []string {
	var l []string
	switch {
	case s.LastError != "" && s.Keys == 0:
		l = append(l, "there are no keys, so tokens are refused: "+s.LastError)
	case s.LastError != "" && now.Sub(s.Fetched) >= oldKeys:
		l = append(l, fmt.Sprintf("no good fetch since %s: %s", s.Fetched.UTC().Format(time.RFC3339), s.LastError))
	}
	if slices.Contains(s.KIDs, issuer.SampleKID) {
		l = append(l, "it holds Istio's sample key, whose private half is published: anybody can make such tokens")
	}
	return append(l, s.Warnings...)
}
