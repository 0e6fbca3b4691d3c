package format

import "strconv"

// messages is %FILTER_STATE(envoy.filters.http.grpc_stats)%: how many messages of gRPC the
// request and its answer had, once there was one.
func messages(form string) operator {
	return func(b []byte, s *Subject) ([]byte, kind) {
		m := s.X.Messages
		if !m.State() || form == "FIELD" {
			return b, missing
		}
		if form == "TYPED" {
			return m.AppendJSON(b), bare
		}
		b = strconv.AppendUint(b, m.Request, 10)
		return strconv.AppendUint(append(b, ','), m.Response, 10), text
	}
}
