package extauthz

import (
	"context"
	"net"
	"sync"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Clusters gives the cluster of a name as it is in force now, nil for none.
type Clusters func(name string) *upstream.Cluster

// client asks the authorization server. One connection carries all calls; it is made
// anew when the cluster is another one, in the cluster's own TLS.
type client struct {
	cluster, authority string
	timeout            time.Duration
	metadata           metadata.MD
	clusters           Clusters

	mu     sync.Mutex
	of     *upstream.Cluster
	conn   *grpc.ClientConn
	closed bool
}

// check asks once. An error is the server's, the way to it, or the time that passed.
func (c *client) check(rq *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	conn, err := c.connection()
	if err != nil {
		return nil, err
	}
	if len(c.metadata) > 0 {
		ctx = metadata.NewOutgoingContext(ctx, c.metadata)
	}
	return authv3.NewAuthorizationClient(conn).Check(ctx, rq)
}

// connection gives the connection to the cluster in force.
func (c *client) connection() (*grpc.ClientConn, error) {
	cl := c.clusters(c.cluster)
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl == nil || c.closed {
		return nil, upstream.ErrNoHealthy
	}
	if c.of == cl {
		return c.conn, nil
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		h, err := cl.Pick(ctx, upstream.Ask{Authority: c.cluster})
		if err != nil {
			return nil, err
		}
		return h.DialHTTP2(ctx)
	}
	conn, err := grpc.NewClient("passthrough:///"+c.cluster, grpc.WithContextDialer(dial), grpc.WithAuthority(c.authority), grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // TLS is the cluster's
		grpc.WithDisableServiceConfig(), grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}, MinConnectTimeout: 5 * time.Second,
		}))
	if err != nil {
		return nil, err
	}
	c.drop()
	c.of, c.conn = cl, conn
	return conn, nil
}

// drop ends the connection, once the calls on it are over. The lock is held.
func (c *client) drop() {
	if old := c.conn; old != nil {
		time.AfterFunc(c.timeout, func() { old.Close() })
	}
	c.of, c.conn = nil, nil
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.drop()
}
