package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// maxFile bounds the copy on disk, in bytes.
const maxFile = 256 << 20

// keep brings the copy on disk up to date. It is written before the control plane
// hears of an acknowledgement, so that a restart never serves policy older than
// what was acknowledged. Endpoints carry no policy and are written later.
func (s *Store) keep(typeURL string) {
	if typeURL == xds.EndpointType {
		if s.o.File != "" && !s.dirty {
			s.dirty = true
			s.arm(time.Now())
		}
		return
	}
	s.write()
}

// write replaces the file by what came over ADS; what comes from elsewhere is there again
// after a restart. It is one DeltaDiscoveryResponse per type, whose
// removed_resources name the resources that must deny after a restart too.
func (s *Store) write() {
	if s.o.File == "" {
		return
	}
	s.dirty = false
	var b bytes.Buffer
	for _, t := range xds.Types() {
		all := map[string]*discoveryv3.Resource{}
		r := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: t}
		s.of(origin.ADS, t, func(name string, h held, denied bool) {
			all[name] = &discoveryv3.Resource{Name: name, Version: h.version, Resource: h.body}
			if denied {
				r.RemovedResources = append(r.RemovedResources, name)
			}
		})
		for _, n := range slices.Sorted(maps.Keys(all)) {
			r.Resources = append(r.Resources, all[n])
		}
		if _, err := protodelim.MarshalTo(&b, r); err != nil {
			s.o.Log.Error("the configuration cannot be kept", "error", err)
			return
		}
	}
	if err := atomicfile.Write(s.o.File, b.Bytes(), 0o600); err != nil {
		s.o.Log.Error("the configuration cannot be kept", "file", s.o.File, "error", err)
	}
}

// Load puts the copy on disk in force. That there is none is no error.
func (s *Store) Load() error {
	if s.o.File == "" {
		return nil
	}
	b, err := atomicfile.ReadLimited(s.o.File, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var all []*discoveryv3.DeltaDiscoveryResponse
	for rd := bytes.NewReader(b); ; {
		r := new(discoveryv3.DeltaDiscoveryResponse)
		err := protodelim.UnmarshalOptions{MaxSize: maxFile}.UnmarshalFrom(rd, r)
		if errors.Is(err, io.EOF) && rd.Len() == 0 {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.o.File, err)
		}
		all = append(all, r)
	}
	if len(all) != len(xds.Types()) {
		return fmt.Errorf("%s: %d types of resources, want %d", s.o.File, len(all), len(xds.Types()))
	}
	s.load(all)
	return nil
}

func (s *Store) load(all []*discoveryv3.DeltaDiscoveryResponse) {
	s.mu.Lock()
	s.batch = true
	s.mu.Unlock()
	for _, r := range all {
		u := xds.Update{Type: r.GetTypeUrl()}
		for _, x := range r.GetResources() {
			u.Resources = append(u.Resources, xds.Resource{Name: x.GetName(), Version: x.GetVersion(), Body: x.GetResource()})
		}
		s.Apply(u) // its refusals are logged
		s.mu.Lock()
		s.publish() // a filter may fetch keys from a cluster as soon as it is made
		s.mu.Unlock()
	}
	s.mu.Lock()
	for _, r := range all {
		for _, name := range r.GetRemovedResources() {
			s.denyLoaded(r.GetTypeUrl(), name)
		}
	}
	s.batch, s.cached = false, true
	clear(s.seen)
	s.settle()
	s.mu.Unlock()
	s.changed()
}

// denyLoaded makes a resource deny that denied before the restart.
func (s *Store) denyLoaded(typeURL, name string) {
	switch typeURL {
	case xds.ListenerType:
		if e := s.listeners[name]; e != nil {
			s.denyHeld(name, e)
		}
	case xds.RouteType:
		e := s.routes[name]
		if e == nil {
			return
		}
		t, err := s.o.Route(denyRoute(name))
		if err != nil {
			s.o.Log.Error("route table cannot deny, so it goes", "name", name, "error", err)
			delete(s.routes, name)
			return
		}
		e.deny(t)
	}
}
