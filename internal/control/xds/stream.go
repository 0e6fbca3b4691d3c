package xds

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/mesh"
)

// stream is one proxy's stream. Fields above mu belong to its deciding goroutine.
type stream struct {
	server         *Server
	grpc           discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	log            *slog.Logger
	caller         caller
	node           *node
	workload       *mesh.Workload
	proxy          *mesh.Proxy
	set            *xdsgen.Set
	model          *mesh.Model
	subs           [kinds]subscription
	nonce          uint64
	nacks          uint64
	refusedSecrets []string
	unanswered     *time.Timer // ends the stream; runs while a response waits

	notify   chan struct{} // a new model
	requests chan *discoveryv3.DeltaDiscoveryRequest
	end      chan error // why the stream ends; the first one counts

	mu    sync.Mutex
	state progress
}

func newStream(s *Server, g discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) *stream {
	st := &stream{
		server: s, grpc: g, log: s.o.Log,
		notify:   make(chan struct{}, 1),
		requests: make(chan *discoveryv3.DeltaDiscoveryRequest),
		end:      make(chan error, 1),
	}
	for k := range st.subs {
		st.subs[k].kind, st.subs[k].names = kind(k), noNames
	}
	return st
}

func (st *stream) wake() {
	select {
	case st.notify <- struct{}{}:
	default:
	}
}

func (st *stream) finish(err error) {
	select {
	case st.end <- err:
	default:
	}
}

// serve is the handler. It returns as soon as there is a reason to, even while a
// response waits for a client that does not read: gRPC then ends the others.
func (st *stream) serve() error {
	c, err := callerOf(st.grpc.Context(), st.server.o.TrustDomain)
	if err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}
	st.caller = c
	st.log = st.log.With("identity", c.id)
	log := st.log // admit, in a goroutine of its own, adds to st.log
	go st.receive()
	go func() { st.finish(st.decide()) }()

	expired := time.NewTimer(c.notAfter.Sub(st.server.o.Now()))
	defer expired.Stop()
	select {
	case err = <-st.end:
	case <-expired.C:
		err = status.Error(codes.Unauthenticated, "the client's certificate has expired")
	case <-st.server.stopped:
		err = status.Error(codes.Unavailable, "the control plane stops")
	case <-st.grpc.Context().Done():
		err = status.FromContextError(st.grpc.Context().Err()).Err()
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK && s.Code() != codes.Canceled {
		st.server.metrics.ended.WithLabelValues(s.Code().String()).Inc()
		log.Info("a proxy's stream ends", "code", s.Code().String(), "reason", s.Message())
	}
	return err
}

// receive reads requests, at a bounded rate, and only as fast as they are dealt
// with.
func (st *stream) receive() {
	ctx := st.grpc.Context()
	l := st.server.o.Limits
	pace := rate.NewLimiter(rate.Limit(l.RequestsPerSecond), l.RequestBurst)
	for {
		if pace.Wait(ctx) != nil {
			return
		}
		req, err := st.grpc.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			st.finish(err)
			return
		}
		select {
		case st.requests <- req:
		case <-ctx.Done():
			return
		}
	}
}

// decide lets the proxy in, then answers requests and models until the stream
// ends.
func (st *stream) decide() error {
	ctx := st.grpc.Context()
	req, err := st.admit(ctx)
	if err != nil {
		return err
	}
	defer st.server.leave(st)
	st.unanswered = time.AfterFunc(time.Hour, func() {
		st.finish(status.Error(codes.ResourceExhausted, "a response was not acknowledged in time"))
	})
	defer st.unanswered.Stop()
	st.expectAnswer()
	var gone *time.Timer // runs while the WorkloadEntry is not there
	var goneC <-chan time.Time
	defer func() {
		if gone != nil {
			gone.Stop()
		}
	}()
	for {
		if req != nil {
			if err := st.take(req); err != nil {
				return err
			}
			req = nil
		}
		if err := st.advance(); err != nil {
			return err
		}
		select {
		case req = <-st.requests:
		case <-st.notify:
			present, err := st.refresh()
			if err != nil {
				return err
			}
			switch {
			case present && gone != nil:
				gone.Stop()
				gone, goneC = nil, nil
			case !present && gone == nil:
				gone = time.NewTimer(st.server.o.Limits.Grace)
				goneC = gone.C
			}
		case <-goneC:
			return status.Errorf(codes.PermissionDenied, "WorkloadEntry %s/%s is gone", st.node.namespace, st.node.name)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refresh takes the newest model. present is false if the workload is not in it;
// the proxy keeps what it has then.
func (st *stream) refresh() (present bool, err error) {
	m := st.server.model.Load()
	w := m.Workload(st.node.namespace, st.node.name)
	if w == nil {
		return false, nil
	}
	if err := st.mayBe(w); err != nil {
		return true, err
	}
	if m == st.model {
		return true, nil
	}
	st.model = m
	if st.proxy == nil || w != st.workload {
		st.workload, st.proxy = w, st.node.proxy(w, st.caller)
	}
	set := st.server.o.Generator.Generate(m, st.proxy)
	if set == nil {
		return true, status.Error(codes.Internal, "no configuration could be made for this proxy")
	}
	st.set = set
	return true, nil
}
