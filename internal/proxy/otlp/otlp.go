// Package otlp sends messages of OpenTelemetry's protocol to a collector, over gRPC or
// HTTP, by connections of the collector's cluster. It knows neither what they say nor when
// they are sent.
package otlp

import (
	"context"
	"fmt"
	"net/url"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/version"
)

// Send sends a message, and waits until it is taken. It has a timeout of its own.
type Send func(context.Context, proto.Message) error

// Clusters gives the cluster of that name as it is now, nil for none.
type Clusters = func(name string) *upstream.Cluster

// sendTime is what a message may take where the configuration does not say.
const sendTime = 5 * time.Second

// Compile compiles a configuration's fields grpc_service, with the method's path, and
// http_service. Nil: neither is there.
func Compile(grpc *corev3.GrpcService, http *corev3.HttpService, path string, clusters Clusters) (send Send, err error) {
	switch {
	case grpc != nil && http != nil:
		return nil, strict.Errorf("http_service", "besides grpc_service")
	case grpc != nil:
		send, err = overGRPC(grpc, path, clusters)
		return send, strict.At("grpc_service", err)
	case http != nil:
		send, err = overHTTP(http, clusters)
		return send, strict.At("http_service", err)
	}
	return nil, nil
}

func overGRPC(m *corev3.GrpcService, path string, clusters Clusters) (Send, error) {
	u, err := upstream.CompileUnary(m, path, sendTime)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, in proto.Message) error { return u.Invoke(ctx, clusters(u.Cluster), in, nil) }, nil
}

// maxAnswer bounds what a collector answers, in bytes.
const maxAnswer = 64 << 10

func overHTTP(m *corev3.HttpService, clusters Clusters) (Send, error) {
	at, err := url.Parse(m.GetHttpUri().GetUri())
	if err != nil || at.Host == "" || m.GetHttpUri().GetTimeout().AsDuration() <= 0 {
		return nil, strict.Errorf("http_uri", "uri must be a URL; cluster and timeout must be there")
	}
	p := Post{Host: at.Host, Path: at.RequestURI(), Fields: []exchange.Field{
		{Name: "content-type", Value: "application/x-protobuf"}, {Name: "user-agent", Value: "OTel-OTLP-Exporter-usher/" + version.Version}}}
	if err := p.Compile(m); err != nil {
		return nil, err
	}
	return func(ctx context.Context, in proto.Message) error {
		b, err := proto.Marshal(in)
		if err != nil {
			return err
		}
		status, err := p.Send(ctx, clusters, b)
		if err == nil && status != 200 && status != 202 {
			err = errStatus(status)
		}
		return err
	}, nil
}

// Post says how content is posted to a collector over HTTP.
type Post struct {
	Cluster, Host, Path string
	Fields              []exchange.Field
	Timeout             time.Duration
}

// Compile takes the cluster, the timeout and more fields from an HttpService. Its uri is the
// caller's.
func (p *Post) Compile(m *corev3.HttpService) error {
	if err := strict.Only(m, "http_uri", "request_headers_to_add"); err != nil {
		return err
	}
	uri := m.GetHttpUri()
	if err := strict.Only(uri, "uri", "cluster", "timeout"); err != nil {
		return strict.At("http_uri", err)
	}
	if p.Cluster = uri.GetCluster(); p.Cluster == "" {
		return strict.Errorf("http_uri.cluster", "empty")
	}
	if p.Timeout = uri.GetTimeout().AsDuration(); p.Timeout <= 0 {
		return strict.Errorf("http_uri.timeout", "must be above 0")
	}
	var add []*corev3.HeaderValue
	for i, h := range m.GetRequestHeadersToAdd() {
		if err := strict.Only(h, "header"); err != nil {
			return strict.AtIndex("request_headers_to_add", i, err)
		}
		add = append(add, h.GetHeader())
	}
	fields, err := upstream.CompileFields(add)
	if err != nil {
		return strict.At("request_headers_to_add", err)
	}
	p.Fields = append(p.Fields, fields...)
	return nil
}

// Send posts content, and gives the answer's status.
func (p *Post) Send(ctx context.Context, clusters Clusters, content []byte) (status int, err error) {
	c := clusters(p.Cluster)
	if c == nil {
		return 0, upstream.ErrNoHealthy
	}
	rq := &exchange.Request{Method: "POST", Authority: p.Host, Path: p.Path, ProtoMajor: 1, ProtoMinor: 1}
	for _, f := range p.Fields {
		rq.Header.Set(f.Name, f.Value)
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	a, err := c.Call(ctx, rq, content, maxAnswer)
	if err != nil {
		return 0, err
	}
	return a.Status, nil
}

// errStatus is an answer of a collector over HTTP.
type errStatus int

func (s errStatus) Error() string { return fmt.Sprintf("the collector answers %d", int(s)) }
