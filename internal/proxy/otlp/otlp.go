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
	if err := strict.Only(m, "http_uri", "request_headers_to_add"); err != nil {
		return nil, err
	}
	uri := m.GetHttpUri()
	if err := strict.Only(uri, "uri", "cluster", "timeout"); err != nil {
		return nil, strict.At("http_uri", err)
	}
	at, err := url.Parse(uri.GetUri())
	if err != nil || at.Host == "" || uri.GetCluster() == "" || uri.GetTimeout().AsDuration() <= 0 {
		return nil, strict.Errorf("http_uri", "uri must be a URL; cluster and timeout must be there")
	}
	var add []*corev3.HeaderValue
	for i, h := range m.GetRequestHeadersToAdd() {
		if err := strict.Only(h, "header"); err != nil {
			return nil, strict.AtIndex("request_headers_to_add", i, err)
		}
		add = append(add, h.GetHeader())
	}
	fields, err := upstream.CompileFields(add)
	if err != nil {
		return nil, strict.At("request_headers_to_add", err)
	}
	return func(ctx context.Context, in proto.Message) error {
		c := clusters(uri.GetCluster())
		if c == nil {
			return upstream.ErrNoHealthy
		}
		b, err := proto.Marshal(in)
		if err != nil {
			return err
		}
		rq := &exchange.Request{Method: "POST", Authority: at.Host, Path: at.RequestURI(), ProtoMajor: 1, ProtoMinor: 1}
		rq.Header.Add("content-type", "application/x-protobuf")
		rq.Header.Add("user-agent", "OTel-OTLP-Exporter-usher/"+version.Version)
		for _, f := range fields {
			rq.Header.Set(f.Name, f.Value)
		}
		ctx, cancel := context.WithTimeout(ctx, uri.GetTimeout().AsDuration())
		defer cancel()
		a, err := c.Call(ctx, rq, b, maxAnswer)
		if err == nil && a.Status != 200 && a.Status != 202 {
			err = errStatus(a.Status)
		}
		return err
	}, nil
}

// errStatus is an answer of a collector over HTTP.
type errStatus int

func (s errStatus) Error() string { return fmt.Sprintf("the collector answers %d", int(s)) }
