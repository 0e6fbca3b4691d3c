package http2

import (
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

// BenchmarkExchange is a request and its answer over one connection, whose both ends
// are ours: 16 streams at a time.
func BenchmarkExchange(b *testing.B) {
	near, far := pair(b, true)
	ended := newGate()
	go Serve(far, nil, &handler{
		begin: func(st *Stream) bool {
			if st.User == nil {
				x := new(exchange.Exchange)
				x.Response.Status, x.Response.ContentLength = 200, 11
				x.Response.Header.Add("content-type", "text/plain")
				x.Response.Header.Add("server", "envoy")
				x.Response.Header.Add("content-length", "11")
				st.User = x
			}
			return true
		},
		serve: func(st *Stream) {
			x := st.User.(*exchange.Exchange)
			x.Request.Header.Reset()
			st.ReadRequest(&x.Request)
			st.Response(&x.Response, http1.Framing{Method: x.Request.Method})
			st.String("hello world")
			st.Flush()
		},
	}, Defaults(), nil)
	c := Dial(near, Defaults(), nil, func() {}, ended.open)
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		rq := &exchange.Request{Method: "GET", Scheme: "http", Authority: "a.test", Path: "/index.html"}
		rq.Header.Add("user-agent", "bench")
		rq.Header.Add("x-forwarded-proto", "http")
		var rs exchange.Response
		for pb.Next() {
			st, err := c.Open()
			if err != nil {
				b.Error(err)
				return
			}
			st.Request(rq, false)
			st.Flush()
			rs.Header.Reset()
			if err := st.ReadResponse(&rs); err != nil || rs.Status != 200 {
				b.Error(err)
			}
			st.Release()
		}
	})
	near.Close()
	ended.await()
}
