package xds

import (
	"context"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
)

// methods are those of the services that give one type each, in the variant of the state of
// the world and in the delta one.
var methods = map[string]struct{ world, delta string }{
	ClusterType:  {"cluster.v3.ClusterDiscoveryService/StreamClusters", "cluster.v3.ClusterDiscoveryService/DeltaClusters"},
	EndpointType: {"endpoint.v3.EndpointDiscoveryService/StreamEndpoints", "endpoint.v3.EndpointDiscoveryService/DeltaEndpoints"},
	ListenerType: {"listener.v3.ListenerDiscoveryService/StreamListeners", "listener.v3.ListenerDiscoveryService/DeltaListeners"},
	RouteType:    {"route.v3.RouteDiscoveryService/StreamRoutes", "route.v3.RouteDiscoveryService/DeltaRoutes"},
	SecretType:   {"secret.v3.SecretDiscoveryService/StreamSecrets", "secret.v3.SecretDiscoveryService/DeltaSecrets"},
}

// method is what is called for the client's types.
func (c *Client) method() string {
	m := methods[c.o.Type]
	if c.o.Type == "" {
		m.world, m.delta = "discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", "discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	}
	if c.o.World {
		return "/envoy.service." + m.world
	}
	return "/envoy.service." + m.delta
}

// types are those that the client asks for.
func (c *Client) types() []string {
	if c.o.Type != "" {
		return []string{c.o.Type}
	}
	return Types()
}

// stream is one of either variant.
type stream[Request, Response any] = grpc.BidiStreamingClient[Request, Response]

func open[Request, Response any](ctx context.Context, conn *grpc.ClientConn, method string) (stream[Request, Response], error) {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.StaticMethod())
	if err != nil {
		return nil, err
	}
	return &grpc.GenericClientStream[Request, Response]{ClientStream: s}, nil
}

// dialect is how a variant of the protocol asks and answers.
type dialect[Response any] interface {
	// ask tells the server what has changed in what is wanted of a type, if anything.
	ask(typeURL string) error
	// answer puts a response in force and acknowledges or refuses it.
	answer(*Response) error
}

// talk opens a stream and keeps up a conversation until it ends.
func (c *Client) talk(ctx context.Context, conn *grpc.ClientConn, answered func()) (talked bool, err error) {
	if c.o.World {
		s, err := open[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse](ctx, conn, c.method())
		if err != nil {
			return false, err
		}
		return converse(c, s.Recv, &world{c: c, s: s, asked: map[string]*asked{}}, answered)
	}
	s, err := open[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse](ctx, conn, c.method())
	if err != nil {
		return false, err
	}
	return converse(c, s.Recv, &delta{c: c, s: s, subs: subscriptions{}, node: c.o.Node}, answered)
}

// converse asks, and answers what comes. What is wanted may change with each answer, and
// when the client is woken.
func converse[Response any](c *Client, recv func() (*Response, error), d dialect[Response], answered func()) (talked bool, err error) {
	c.streams.Add(1)
	responses, ended := make(chan *Response), make(chan error, 1)
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			r, err := recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case responses <- r:
			case <-over:
				return
			}
		}
	}()
	// What is received tells why a stream ended on which nothing can be sent; Send's io.EOF
	// does not.
	why := func() error {
		for {
			select {
			case <-responses:
			case err := <-ended:
				return err
			}
		}
	}
	for {
		for _, t := range c.types() {
			if err := d.ask(t); err != nil {
				return talked, why()
			}
		}
		select {
		case err := <-ended:
			return talked, err
		case <-c.woken:
		case r := <-responses:
			if !talked {
				answered()
				c.o.Log.Info("connected to the control plane", "address", c.o.Addr)
			}
			talked = true
			if err := d.answer(r); err != nil {
				return talked, why()
			}
			c.connected.Store(true)
			c.responses.Add(1)
			c.changed()
		}
	}
}
