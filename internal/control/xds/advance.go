package xds

import (
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/usher-mesh/usher/internal/control/xdsgen"
)

// advance sends what can be sent now: kinds in order, at most one unanswered
// response a kind. While a kind waits and has newer state behind, later kinds wait
// too, but for names that were newly asked for. Clusters, endpoints and secrets
// are removed once listeners and routes have no news, so that nothing names what
// is gone.
func (st *stream) advance() error {
	sent, held, err := st.pass()
	if err == nil && held && !sent {
		_, _, err = st.pass()
	}
	if err != nil {
		return err
	}
	st.publish(time.Time{})
	return nil
}

// pass goes over the kinds once. held tells that removals were held back.
func (st *stream) pass() (sent, held bool, err error) {
	behind := false
	for k := range st.subs {
		s := &st.subs[k]
		if !s.active {
			continue
		}
		target := st.set.ByType[typeURLs[k]]
		if s.sent != nil {
			behind = behind || s.sent.rest && !s.sent.heldBack || !same(s.sent.target, target)
			continue
		}
		if s.settled(target) && len(s.over) == len(s.rejected) && len(s.asked) == 0 {
			s.generation = max(s.generation, st.set.Generation)
			continue
		}
		p := s.next(target, st.server.compare, how{
			askedOnly: behind,
			// The first answer to a client that reconnects may come before it has
			// asked for the listeners that replace its old ones.
			holdRemovals: s.kind.removedLast() && (s.owed || !st.usersSettled()),
			bytes:        st.server.o.Limits.PushBytes,
		})
		p.generation = st.set.Generation
		held = held || p.heldBack
		if len(p.items) == 0 && !s.owed {
			if !p.rest {
				s.settle(target, st.set.Generation)
			}
			continue
		}
		if err := st.send(s, p); err != nil {
			return sent, held, err
		}
		sent = true
		behind = behind || p.rest && !p.heldBack
	}
	return sent, held, nil
}

// usersSettled says whether the kinds that name others have no news.
func (st *stream) usersSettled() bool {
	for k := range st.subs {
		s := &st.subs[k]
		if !s.kind.removedLast() && !s.settled(st.set.ByType[typeURLs[k]]) {
			return false
		}
	}
	return true
}

func (st *stream) send(s *subscription, p *push) error {
	st.nonce++
	p.nonce, p.at = strconv.FormatUint(st.nonce, 10), st.server.o.Now()
	resp := &discoveryv3.DeltaDiscoveryResponse{
		TypeUrl: typeURLs[s.kind], Nonce: p.nonce,
		SystemVersionInfo: strconv.FormatUint(p.generation, 10),
	}
	for _, i := range p.items {
		delete(s.asked, i.name)
		if i.resource == nil {
			resp.RemovedResources = append(resp.RemovedResources, i.name)
			continue
		}
		resp.Resources = append(resp.Resources, &discoveryv3.Resource{
			Name: i.name, Version: i.resource.Version, Resource: i.resource.Any,
		})
	}
	if s.kind == secrets {
		resp.RemovedResources = append(resp.RemovedResources, st.refusedSecrets...)
		st.refusedSecrets = nil
	}
	s.sent, s.owed = p, false
	if s.kind == clusters && !st.node.usher {
		st.resendEndpoints(p)
	}
	st.expectAnswer()
	st.server.metrics.pushes.WithLabelValues(s.kind.label()).Inc()
	st.server.metrics.bytes.Add(float64(p.size))
	return st.grpc.Send(resp)
}

// expectAnswer ends the stream if the oldest response is not answered in time, so
// that a client that does not read holds no memory for long.
func (st *stream) expectAnswer() {
	var oldest time.Time
	for k := range st.subs {
		if p := st.subs[k].sent; p != nil && (oldest.IsZero() || p.at.Before(oldest)) {
			oldest = p.at
		}
	}
	if oldest.IsZero() {
		st.unanswered.Stop()
		return
	}
	limit := st.server.o.Limits.AnswerWithin
	st.unanswered.Reset(limit - st.server.o.Now().Sub(oldest))
}

// resendEndpoints sends endpoints again with their cluster: Envoy waits for them
// whenever a cluster changes, even if they did not.
func (st *stream) resendEndpoints(p *push) {
	e := &st.subs[endpoints]
	now := st.set.ByType[xdsgen.EndpointType]
	for _, i := range p.items {
		if i.resource != nil && e.active && now[i.name] != nil && e.covers(i.name) {
			e.set(i.name, unknown)
		}
	}
}
