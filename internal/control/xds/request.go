package xds

import (
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// take applies a request to its kind's subscription: first the answer that it
// carries, then what it wants from now on.
func (st *stream) take(req *discoveryv3.DeltaDiscoveryRequest) error {
	k, ok := kindOf(req.GetTypeUrl())
	if !ok {
		// Envoy asks for further types where its bootstrap says so. There are none.
		return nil
	}
	s := &st.subs[k]
	if s.sent != nil && req.GetResponseNonce() == s.sent.nonce {
		st.answered(s, req.GetErrorDetail())
	}
	return st.subscribe(s, req)
}

func (st *stream) subscribe(s *subscription, req *discoveryv3.DeltaDiscoveryRequest) error {
	add, remove, known := req.GetResourceNamesSubscribe(), req.GetResourceNamesUnsubscribe(), req.GetInitialResourceVersions()
	first := !s.active
	if !first && len(add) == 0 && len(remove) == 0 {
		return nil
	}
	if err := st.checkNames(s, add, remove, len(known)); err != nil {
		return err
	}
	if first {
		s.active, s.owed = true, true
		// A first request without names is the old form of the wildcard.
		s.wildcard = s.kind.wildcards() && len(add) == 0
	}
	if slices.Contains(add, "*") {
		s.wildcard = true
		add = slices.DeleteFunc(add, func(n string) bool { return n == "*" })
	}
	if slices.Contains(remove, "*") {
		s.wildcard = false
		remove = slices.DeleteFunc(remove, func(n string) bool { return n == "*" })
	}
	if s.kind == secrets {
		add = st.permitted(s, add)
	}
	s.names = st.server.names.with(s.names, add, remove)
	if first {
		s.startFrom(known, st.set.ByType[typeURLs[s.kind]])
	}
	for _, n := range add {
		if _, has := known[n]; has && first {
			continue
		}
		// Even a resource that it was sent already is wanted again: the client may
		// have dropped it meanwhile.
		s.ask(n)
	}
	for _, n := range remove {
		delete(s.asked, n)
		delete(s.rejected, n)
		if s.wildcard {
			s.ask(n) // now as one of all
		} else {
			s.forget(n)
		}
	}
	return nil
}

// startFrom takes the versions that a client that reconnects has already.
func (s *subscription) startFrom(known map[string]string, now resources) {
	if len(known) == 0 {
		return
	}
	s.base = now
	for n, v := range known {
		if s.covers(n) && versionIn(now, n) != v {
			if v == absent {
				v = unknown
			}
			s.set(n, v)
		}
	}
	if s.wildcard {
		for n := range now {
			if _, has := known[n]; !has {
				s.set(n, absent)
			}
		}
		return
	}
	for _, n := range s.names.names {
		if _, has := known[n]; !has && now[n] != nil {
			s.set(n, absent)
		}
	}
}

// ask makes the next response have the resource, or say that there is none.
func (s *subscription) ask(name string) {
	if s.asked == nil {
		s.asked = map[string]struct{}{}
	}
	s.asked[name] = struct{}{}
	s.set(name, absent)
}

func (st *stream) checkNames(s *subscription, add, remove []string, known int) error {
	limits := &st.server.o.Limits
	if len(s.names.names)+len(add) > limits.Names || len(remove) > limits.Names || known > limits.Names {
		return status.Errorf(codes.ResourceExhausted, "more than %d names of %s", limits.Names, typeURLs[s.kind])
	}
	for _, n := range add {
		switch {
		case n == "" || len(n) > limits.NameBytes:
			return status.Errorf(codes.InvalidArgument, "a name of %s is empty or longer than %d bytes", typeURLs[s.kind], limits.NameBytes)
		case n == "*" && !s.kind.wildcards():
			return status.Errorf(codes.InvalidArgument, "%s must be subscribed to by name", typeURLs[s.kind])
		}
	}
	return nil
}

// permitted drops the secrets that the caller may not have. It gets the answer
// that there is none of that name, and the attempt is logged and counted.
func (st *stream) permitted(s *subscription, add []string) []string {
	return slices.DeleteFunc(add, func(n string) bool {
		if st.caller.mayRead(n, st.node.gateway()) {
			return false
		}
		st.refusedSecrets = append(st.refusedSecrets, n)
		st.server.metrics.refusedSecrets.Inc()
		st.log.Warn("refused a secret", "secret", shorten(n))
		s.owed = true
		return true
	})
}
