package xds

import (
	"fmt"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// The state-of-the-world variant of the protocol: each response holds all resources of
// its type, each request all names that are wanted.

// asked is what a stream was last asked for of a type.
type asked struct {
	names []string // none: all
	nonce string   // of the last response
}

// world is one stream.
type world struct {
	c      *Client
	s      stream[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse]
	asked  map[string]*asked
	talked bool // the node was said
}

// ask asks for a type if what is wanted of it has changed.
func (w *world) ask(t string) error {
	wanted := w.c.wanted(t)
	a := w.asked[t]
	switch names := worldNames(wanted); {
	case a == nil && len(wanted) == 0:
		return nil
	case a == nil:
		w.asked[t] = &asked{names: names}
	case slices.Equal(a.names, names):
		return nil
	default:
		a.names = names
	}
	return w.send(t, nil)
}

// worldNames gives the names of a request; none of them are all.
func worldNames(wanted []string) []string {
	if slices.Contains(wanted, Wildcard) {
		return nil
	}
	return wanted
}

func (w *world) send(t string, refused *statuspb.Status) error {
	a := w.asked[t]
	r := &discoveryv3.DiscoveryRequest{TypeUrl: t, ResourceNames: a.names, ResponseNonce: a.nonce, VersionInfo: w.c.accepted[t], ErrorDetail: refused}
	if !w.talked {
		r.Node, w.talked = w.c.o.Node, true
	}
	return w.s.Send(r)
}

// answer applies a response and acknowledges or refuses it. A refused one does not move
// the version; what was good of it is in force, the rest stays as it was.
func (w *world) answer(r *discoveryv3.DiscoveryResponse) error {
	t := r.GetTypeUrl()
	if !w.c.known(t) {
		return w.s.Send(&discoveryv3.DiscoveryRequest{TypeUrl: t, ResponseNonce: r.GetNonce(), ErrorDetail: nack(map[string]string{"": errType.Error()})})
	}
	a := w.asked[t]
	if a == nil {
		a = &asked{}
		w.asked[t] = a
	}
	a.nonce = r.GetNonce()
	rejected := ApplyWorld(w.c.o.Sink, t, r.GetVersionInfo(), r.GetResources())
	w.c.counted(t, namesOf(r.GetResources()), rejected)
	a.names = worldNames(w.c.wanted(t))
	if len(rejected) > 0 {
		return w.send(t, w.c.refuse(rejected))
	}
	w.c.accepted[t] = r.GetVersionInfo()
	return w.send(t, nil)
}

// ApplyWorld puts all resources of a type in force, and of clusters and listeners takes
// away those that are not among them. A list that cannot be read to its end changes
// nothing: nobody knows what it would leave.
func ApplyWorld(sink Sink, t, version string, all []*anypb.Any) (rejected map[string]string) {
	u := Update{Type: t}
	there := map[string]bool{}
	for i, a := range all {
		r, err := named(a, version)
		if err == nil && r.Body.GetTypeUrl() != t {
			err = fmt.Errorf("%s among resources of type %s", r.Body.GetTypeUrl(), t)
		}
		if err == nil && there[r.Name] {
			err = fmt.Errorf("%q is there twice", r.Name)
		}
		if err != nil {
			return map[string]string{fmt.Sprintf("resources[%d]", i): err.Error()}
		}
		there[r.Name] = true
		u.Resources = append(u.Resources, r)
	}
	if u.All = lists(t); u.All {
		for name := range sink.Versions(t) {
			if !there[name] {
				u.Removed = append(u.Removed, name)
			}
		}
		slices.Sort(u.Removed)
	}
	return sink.Apply(u)
}

// namesOf gives the names of those resources that have one.
func namesOf(all []*anypb.Any) (names []string) {
	for _, a := range all {
		if r, err := named(a, ""); err == nil {
			names = append(names, r.Name)
		}
	}
	return names
}

// named gives a resource its name, which in this variant stands within it, or around it.
func named(a *anypb.Any, version string) (Resource, error) {
	m, err := a.UnmarshalNew()
	if err != nil {
		return Resource{}, err
	}
	switch m := m.(type) {
	case *discoveryv3.Resource:
		if m.GetTtl() != nil {
			return Resource{}, fmt.Errorf("%q: ttl: not supported", m.GetName())
		}
		if m.GetResource().MessageIs(m) { // each turn would copy all that is within
			return Resource{}, fmt.Errorf("%q: a resource around a resource", m.GetName())
		}
		r, err := named(m.GetResource(), version)
		if m.GetVersion() != "" {
			r.Version = m.GetVersion()
		}
		return r, err
	case interface{ GetName() string }:
		return Resource{m.GetName(), version, a}, nil
	case interface{ GetClusterName() string }:
		return Resource{m.GetClusterName(), version, a}, nil
	}
	return Resource{}, fmt.Errorf("%s: not a resource", a.GetTypeUrl())
}
