package xds

import (
	"context"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/usher-mesh/usher/internal/mesh"
)

// admit reads the first request and decides whether the caller may be the
// workload that it names. A WorkloadEntry that is not there is waited for, since it
// may just have been written.
func (st *stream) admit(ctx context.Context) (*discoveryv3.DeltaDiscoveryRequest, error) {
	if err := st.server.enter(st); err != nil {
		return nil, err
	}
	in := false
	defer func() {
		st.server.entered(st, in)
	}()
	limits := st.server.o.Limits
	patience := time.NewTimer(limits.FirstRequest)
	defer patience.Stop()

	var req *discoveryv3.DeltaDiscoveryRequest
	select {
	case req = <-st.requests:
	case <-patience.C:
		return nil, status.Errorf(codes.DeadlineExceeded, "no request within %s", limits.FirstRequest)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n, err := parseNode(req.GetNode())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	st.node = n
	st.log = st.log.With("node", n.id)
	if n.namespace != st.caller.namespace {
		return nil, status.Errorf(codes.PermissionDenied, "node.id %q is of namespace %q, but the certificate proves %s",
			n.id, n.namespace, st.caller.id)
	}
	patience.Reset(limits.WaitForEntry)
	for {
		if st.server.model.Load() != nil {
			present, err := st.refresh()
			if err != nil {
				return nil, err
			}
			if present {
				break
			}
		}
		select {
		case <-st.notify:
		case <-patience.C:
			if st.server.model.Load() == nil {
				return nil, status.Error(codes.Unavailable, "the control plane has not read the API yet")
			}
			return nil, status.Errorf(codes.PermissionDenied, "there is no WorkloadEntry %s/%s, which node.id %q names",
				n.namespace, n.name, n.id)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := st.server.join(st); err != nil {
		return nil, err
	}
	in = true
	st.log.Info("a proxy is connected")
	return req, nil
}

// mayBe says whether the certificate proves the workload's service account.
func (st *stream) mayBe(w *mesh.Workload) error {
	if w.Namespace == st.caller.namespace && w.ServiceAccount == st.caller.serviceAccount {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "WorkloadEntry %s/%s has service account %q, but the certificate proves %s",
		w.Namespace, w.Name, w.ServiceAccount, st.caller.id)
}

// enter counts a stream that is not let in yet. From here on it hears of models.
func (s *Server) enter(st *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[st.caller.id] >= s.o.Limits.PendingPerIdentity {
		return status.Errorf(codes.ResourceExhausted, "%s has %d streams that wait already", st.caller.id, s.pending[st.caller.id])
	}
	s.pending[st.caller.id]++
	s.streams[st] = struct{}{}
	return nil
}

// entered ends what enter began.
func (s *Server) entered(st *stream, in bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[st.caller.id]--; s.pending[st.caller.id] == 0 {
		delete(s.pending, st.caller.id)
	}
	if !in {
		delete(s.streams, st)
	}
}

// join makes the stream one of its workload's.
func (s *Server) join(st *stream) error {
	w := workload{st.node.namespace, st.node.name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.members[w] >= s.o.Limits.StreamsPerWorkload {
		return status.Errorf(codes.ResourceExhausted, "%s/%s has %d streams already", w.namespace, w.name, s.members[w])
	}
	s.members[w]++
	st.publish(s.o.Now())
	s.progressed()
	return nil
}

func (s *Server) leave(st *stream) {
	w := workload{st.node.namespace, st.node.name}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st)
	if s.members[w]--; s.members[w] == 0 {
		delete(s.members, w)
	}
	s.progressed()
}
