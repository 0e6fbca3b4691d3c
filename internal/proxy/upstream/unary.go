package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Unary is a gRPC method of one request and one answer, at a cluster that speaks HTTP/2.
type Unary struct {
	Path      string // "/package.Service/Method"
	Authority string
	Metadata  []exchange.Field
	Timeout   time.Duration
}

// maxMessage bounds an answer, as gRPC does by default.
const maxMessage = 4 << 20

// Invoke calls the method. Errors have gRPC's codes (status.Code).
func (u *Unary) Invoke(ctx context.Context, c *Cluster, in, out proto.Message) error {
	if c == nil {
		return status.Error(codes.Unavailable, "no such cluster")
	}
	message, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, prefix, 512), in)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-prefix))
	rq := &exchange.Request{Method: "POST", Path: u.Path, Authority: u.Authority, ProtoMajor: 2}
	rq.Header.Add("te", "trailers")
	rq.Header.Add("grpc-timeout", strconv.FormatInt(max(u.Timeout.Milliseconds(), 1), 10)+"m")
	rq.Header.Add("content-type", "application/grpc")
	for _, f := range u.Metadata {
		rq.Header.Add(f.Name, f.Value)
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
	b := a.Body
	if len(b) < prefix || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-prefix) {
		return status.Error(codes.Internal, "the answer is not one message")
	}
	if err := proto.Unmarshal(b[prefix:], out); err != nil {
		return status.Error(codes.Internal, "the answer is malformed")
	}
	return nil
}
