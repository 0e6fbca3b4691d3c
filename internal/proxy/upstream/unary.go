package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Unary is a gRPC method of one request and one answer, at a cluster that speaks HTTP/2.
type Unary struct {
	Cluster   string
	Path      string // "/package.Service/Method"
	Authority string
	Metadata  []exchange.Field
	Timeout   time.Duration
}

// CompileUnary compiles a GrpcService for a method.
func CompileUnary(m *corev3.GrpcService, path string, timeout time.Duration) (*Unary, error) {
	if err := strict.Only(m, "envoy_grpc", "timeout", "initial_metadata"); err != nil {
		return nil, err
	}
	g := m.GetEnvoyGrpc()
	if err := strict.Only(g, "cluster_name", "authority"); err != nil {
		return nil, strict.At("envoy_grpc", err)
	}
	u := &Unary{Cluster: g.GetClusterName(), Path: path, Authority: g.GetAuthority(), Timeout: timeout}
	if u.Cluster == "" {
		return nil, strict.Errorf("envoy_grpc.cluster_name", "empty")
	}
	if u.Authority == "" {
		u.Authority = u.Cluster
	}
	if !http1.ValidAuthority(u.Authority) {
		return nil, strict.Errorf("envoy_grpc.authority", "%q is none", u.Authority)
	}
	if t := m.GetTimeout(); t != nil {
		if u.Timeout = t.AsDuration(); t.CheckValid() != nil || u.Timeout <= 0 {
			return nil, strict.Errorf("timeout", "must be above 0")
		}
	}
	var err error
	u.Metadata, err = CompileFields(m.GetInitialMetadata())
	return u, strict.At("initial_metadata", err)
}

// CompileFields compiles headers that requests of the proxy's own bear.
func CompileFields(list []*corev3.HeaderValue) (out []exchange.Field, err error) {
	for i, h := range list {
		if err := strict.Only(h, "key", "value"); err != nil {
			return nil, strict.AtIndex("", i, err)
		}
		name := strings.ToLower(h.GetKey())
		switch {
		case !http1.Settable(name) || strings.HasSuffix(name, "-bin") || strings.HasPrefix(name, "grpc-") || !http1.ValidValue(h.GetValue()):
			return nil, strict.AtIndex("", i, strict.Errorf("", "is no header to be set"))
		case strings.Contains(h.GetValue(), "%"):
			return nil, strict.AtIndex("", i, strict.Errorf("value", "formatters: %w", strict.ErrUnsupported))
		}
		out = append(out, exchange.Field{Name: name, Value: h.GetValue()})
	}
	return out, nil
}

// maxMessage bounds an answer, as gRPC does by default.
const maxMessage = 4 << 20

// Invoke calls the method. Errors have gRPC's codes (status.Code). A nil out takes any
// answer without an error: also of methods of many requests, in whose streams in is all.
func (u *Unary) Invoke(ctx context.Context, c *Cluster, in, out proto.Message) error {
	if c == nil {
		return status.Error(codes.Unavailable, "no such cluster")
	}
	rq, message, err := u.request(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, u.Timeout)
	defer cancel()
	a, err := c.Call(ctx, rq, message, prefix+maxMessage)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "no answer in time")
	case errors.Is(err, ErrTooLarge):
		return status.Error(codes.ResourceExhausted, err.Error())
	case err != nil:
		return status.Error(codes.Unavailable, err.Error())
	}
	return a.message(out)
}

// request makes the request and its content.
func (u *Unary) request(in proto.Message) (*exchange.Request, []byte, error) {
	message, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, prefix, 512), in)
	if err != nil {
		return nil, nil, status.Error(codes.Internal, err.Error())
	}
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-prefix))
	rq := &exchange.Request{Method: "POST", Path: u.Path, Authority: u.Authority, ProtoMajor: 2}
	rq.Header.Add("te", "trailers")
	rq.Header.Add("grpc-timeout", strconv.FormatInt(max(u.Timeout.Milliseconds(), 1), 10)+"m")
	rq.Header.Add("content-type", "application/grpc")
	for _, f := range u.Metadata {
		rq.Header.Add(f.Name, f.Value)
	}
	return rq, message, nil
}

// prefix is the length of what stands before a message: whether it is compressed, and
// its length.
const prefix = 5

// message reads the one message of an answer in gRPC.
func (a *Answer) message(out proto.Message) error {
	h := &a.Trailer
	text, ok := h.Lookup("grpc-status")
	if !ok { // without a message the trailers stand in the head
		h = &a.Header
		text, ok = h.Lookup("grpc-status")
	}
	code, err := strconv.ParseUint(text, 10, 32)
	switch {
	case a.Status != 200 || !strings.HasPrefix(a.Header.Get("content-type"), "application/grpc"):
		return status.Errorf(codes.Unknown, "the answer is not of gRPC: %d", a.Status)
	case !ok || err != nil:
		return status.Error(codes.Unknown, "the answer has no status of gRPC")
	case code != 0:
		text, _ := url.PathUnescape(h.Get("grpc-message"))
		return status.Error(codes.Code(code), text)
	}
	if out == nil {
		return nil
	}
	b := a.Body
	if len(b) < prefix || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-prefix) {
		return status.Error(codes.Internal, "the answer is not one message")
	}
	if err := proto.Unmarshal(b[prefix:], out); err != nil {
		return status.Error(codes.Internal, "the answer is malformed")
	}
	return nil
}
