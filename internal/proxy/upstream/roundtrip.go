package upstream

import (
	"context"
	"net"
	"net/http"
	"time"
)

// RoundTripper serves the proxy's own calls to the cluster (key sets): whatever
// a request's URL names, the connection goes to an endpoint of the cluster, in
// the cluster's own TLS if it has any. It follows no proxy of the environment.
func (c *Cluster) RoundTripper() http.RoundTripper {
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		h, err := c.Pick(ctx, Ask{Authority: addr})
		if err != nil {
			return nil, err
		}
		return h.Connect(ctx, nil, Default)
	}
	return &http.Transport{
		DialContext:            dial,
		DialTLSContext:         dial,
		MaxIdleConns:           4,
		MaxConnsPerHost:        16,
		IdleConnTimeout:        30 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
