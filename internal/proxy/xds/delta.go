package xds

import (
	"errors"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// delta is one stream in the variant of the protocol that tells changes.
type delta struct {
	c    *Client
	s    stream[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]
	subs subscriptions
	node *corev3.Node // nil: it was said, which is once a stream
}

func (d *delta) send(r *discoveryv3.DeltaDiscoveryRequest) error {
	r.Node, d.node = d.node, nil
	return d.s.Send(r)
}

// ask tells the control plane what changed in what the sink wants. The first request for a
// type says what is held already.
func (d *delta) ask(t string) error {
	first := d.subs[t] == nil
	add, drop := d.subs.change(t, d.c.wanted(t))
	if len(add) == 0 && len(drop) == 0 {
		return nil
	}
	r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: t, ResourceNamesSubscribe: add, ResourceNamesUnsubscribe: drop}
	if first {
		r.InitialResourceVersions = d.c.o.Sink.Versions(t)
	}
	return d.send(r)
}

var errType = errors.New("a type that was not asked for")

// answer applies a response and sends its ACK or NACK.
func (d *delta) answer(r *discoveryv3.DeltaDiscoveryResponse) error {
	out := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
	if !d.c.known(r.GetTypeUrl()) {
		out.ErrorDetail = nack(map[string]string{"": errType.Error()})
		return d.send(out)
	}
	u := Update{Type: r.GetTypeUrl(), Removed: r.GetRemovedResources()}
	for _, x := range r.GetResources() {
		u.Resources = append(u.Resources, Resource{Name: x.GetName(), Version: x.GetVersion(), Body: x.GetResource()})
	}
	rejected := d.c.o.Sink.Apply(u)
	names := slices.Clone(u.Removed)
	for _, r := range u.Resources {
		names = append(names, r.Name)
	}
	d.c.counted(u.Type, names, rejected)
	if len(rejected) > 0 {
		out.ErrorDetail = d.c.refuse(rejected)
	}
	return d.send(out)
}
