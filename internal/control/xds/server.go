package xds

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/usher-mesh/usher/internal/mesh"
)

// Server serves configuration to the mesh's proxies.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	o       Options
	grpc    *grpc.Server
	names   *nameSets
	compare *comparisons
	origins *originIndex
	metrics *metrics
	model   atomic.Pointer[mesh.Model]
	changed chan struct{}
	stopped chan struct{}
	stop    sync.Once

	mu      sync.Mutex
	streams map[*stream]struct{}
	pending map[string]int   // identity -> streams not let in yet
	members map[workload]int // streams let in
}

type workload struct{ namespace, name string }

// New makes a server that has no model yet: proxies wait for it.
func New(o Options) (*Server, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := &Server{
		o: o, names: newNameSets(), compare: newComparisons(), origins: newOriginIndex(),
		changed: make(chan struct{}, 1), stopped: make(chan struct{}),
		streams: map[*stream]struct{}{}, pending: map[string]int{}, members: map[workload]int{},
	}
	s.metrics = newMetrics(s)
	l := o.Limits
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(o.TLS)),
		grpc.MaxRecvMsgSize(l.RequestBytes),
		grpc.MaxHeaderListSize(16<<10),
		grpc.MaxConcurrentStreams(8),
		grpc.ConnectionTimeout(l.FirstRequest),
		// Thousands of mostly idle connections: small buffers.
		grpc.ReadBufferSize(8<<10),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: l.KeepaliveTime, Timeout: l.KeepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.KeepaliveTime / 3, PermitWithoutStream: true}),
	)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(s.grpc, s)
	return s, nil
}

// Serve accepts proxies until ctx ends, then ends their streams with UNAVAILABLE
// and returns nil. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() {
		s.stop.Do(func() { close(s.stopped) })
		// Handlers return at once; a client in its handshake need not.
		hard := time.AfterFunc(2*time.Second, s.grpc.Stop)
		s.grpc.GracefulStop()
		hard.Stop()
	})
	err := s.grpc.Serve(l)
	if !stop() {
		// ctx ended: wait until the handlers have gone.
		s.grpc.Stop()
		return nil
	}
	s.stop.Do(func() { close(s.stopped) })
	s.grpc.Stop()
	return err
}

// Update serves a new model. Models must come in the order of their generations,
// from one goroutine.
func (s *Server) Update(m *mesh.Model) {
	s.compare.age()
	s.origins.age()
	s.model.Store(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams {
		st.wake()
	}
}

// Changed receives after proxies came, went, acknowledged or refused something.
// Several changes may be one. It is for one reader.
func (s *Server) Changed() <-chan struct{} { return s.changed }

func (s *Server) progressed() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// DeltaAggregatedResources serves one proxy.
func (s *Server) DeltaAggregatedResources(g discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return newStream(s, g).serve()
}
