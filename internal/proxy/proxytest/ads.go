package proxytest

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// ADS is a delta ADS server whose resources a test sets.
type ADS struct {
	ca *CA
	id string
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	mu         sync.Mutex
	resources  map[string]map[string]*discoveryv3.Resource
	streams    map[*adsStream]bool
	requests   []*discoveryv3.DeltaDiscoveryRequest
	came       chan struct{} // closed and renewed at each request
	server     *grpc.Server
	addr       string
	nonce      int
	configured bool
}

type adsStream struct {
	s     discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	names map[string]map[string]bool
	sent  map[string]map[string]string // type -> name -> version
}

// NewADS makes a server with that identity; Start starts it.
func NewADS(ca *CA, id string) *ADS {
	return &ADS{ca: ca, id: id, resources: map[string]map[string]*discoveryv3.Resource{}, streams: map[*adsStream]bool{}, came: make(chan struct{})}
}

// Start serves, after a Stop at the same address as before.
func (a *ADS) Start(t testing.TB) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := grpc.NewServer(grpc.WaitForHandlers(true), grpc.Creds(credentials.NewTLS(identity.ServerTLS(a.ca.Source(t, a.id), nil))))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(s, a)
	if a.addr == "" {
		a.addr = "127.0.0.1:0"
	}
	a.server, a.addr = s, serve(t, s, a.addr)
	return a.addr
}

// Stop ends the server and its streams.
func (a *ADS) Stop() { a.server.Stop() }

// Set puts resources, by type URL of the message, under their names and a version.
// Nobody is answered before the first call: a control plane without a model is not
// ready.
func (a *ADS) Set(t testing.TB, version string, named map[string]proto.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, m := range named {
		body, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		a.put(body.GetTypeUrl(), &discoveryv3.Resource{Name: n, Version: version, Resource: body})
	}
	first := !a.configured
	a.configured = true
	a.push(first)
}

// Remove removes a resource.
func (a *ADS) Remove(typeURL, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.resources[typeURL], name)
	a.push(false)
}

func (a *ADS) put(typeURL string, r *discoveryv3.Resource) {
	if a.resources[typeURL] == nil {
		a.resources[typeURL] = map[string]*discoveryv3.Resource{}
	}
	a.resources[typeURL][r.GetName()] = r
}

// push sends every stream what changed for it, in the order of a control plane, with
// the lock held.
func (a *ADS) push(always bool) {
	for s := range a.streams {
		for _, typeURL := range xds.Types() {
			if s.names[typeURL] != nil {
				a.send(s, typeURL, always)
			}
		}
	}
}

func (a *ADS) send(s *adsStream, typeURL string, always bool) {
	r := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL}
	sent := s.sent[typeURL]
	if sent == nil {
		sent = map[string]string{}
		s.sent[typeURL] = sent
	}
	names := s.names[typeURL]
	for n, x := range a.resources[typeURL] {
		if (names["*"] || names[n]) && sent[n] != x.GetVersion() {
			r.Resources = append(r.Resources, x)
			sent[n] = x.GetVersion()
		}
	}
	for n := range sent {
		if a.resources[typeURL][n] == nil {
			r.RemovedResources = append(r.RemovedResources, n)
			delete(sent, n)
		}
	}
	for n := range names {
		if _, told := sent[n]; n != "*" && !told && a.resources[typeURL][n] == nil && always {
			r.RemovedResources = append(r.RemovedResources, n)
		}
	}
	if len(r.Resources)+len(r.RemovedResources) == 0 && !always {
		return
	}
	a.nonce++
	r.Nonce = fmt.Sprint(a.nonce)
	_ = s.s.Send(r) // a stream that broke ends by itself
}

// DeltaAggregatedResources serves one stream.
func (a *ADS) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	st := &adsStream{s: s, names: map[string]map[string]bool{}, sent: map[string]map[string]string{}}
	defer func() {
		a.mu.Lock()
		delete(a.streams, st)
		a.mu.Unlock()
	}()
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.streams[st] = true
		a.requests = append(a.requests, r)
		close(a.came)
		a.came = make(chan struct{})
		first := st.names[r.GetTypeUrl()] == nil
		if first {
			st.names[r.GetTypeUrl()] = map[string]bool{}
			st.sent[r.GetTypeUrl()] = maps.Clone(r.GetInitialResourceVersions())
		}
		for _, n := range r.GetResourceNamesSubscribe() {
			st.names[r.GetTypeUrl()][n] = true
		}
		for _, n := range r.GetResourceNamesUnsubscribe() {
			delete(st.names[r.GetTypeUrl()], n)
			delete(st.sent[r.GetTypeUrl()], n)
		}
		if len(r.GetResourceNamesSubscribe()) > 0 && a.configured {
			a.send(st, r.GetTypeUrl(), true)
		}
		a.mu.Unlock()
	}
}

// Await gives the first request, from the given position on, that matches.
func (a *ADS) Await(t testing.TB, from int, what string, match func(*discoveryv3.DeltaDiscoveryRequest) bool) (*discoveryv3.DeltaDiscoveryRequest, int) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		a.mu.Lock()
		for i := from; i < len(a.requests); i++ {
			if match(a.requests[i]) {
				defer a.mu.Unlock()
				return a.requests[i], i + 1
			}
		}
		from = max(from, len(a.requests))
		came := a.came
		a.mu.Unlock()
		select {
		case <-came:
		case <-limit:
			t.Fatalf("no request that is %s", what)
		}
	}
}
