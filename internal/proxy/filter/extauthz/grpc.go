package extauthz

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and servers send them.

import (
	"context"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/code"

	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// grpcService asks envoy.service.auth.v3.Authorization.
type grpcService struct {
	unary    *upstream.Unary
	clusters Clusters
}

func (c *grpcService) limit() time.Duration { return c.unary.Timeout }
func (c *grpcService) cluster() string      { return c.unary.Cluster }

func (c *grpcService) check(ctx context.Context, q *question) (*verdict, error) {
	rs := &authv3.CheckResponse{}
	if err := c.unary.Invoke(ctx, c.clusters(c.unary.Cluster), q.request(), rs); err != nil {
		return nil, err
	}
	return read(rs, q.x.Request.Path)
}

// read reads an answer about a request to the path.
func read(rs *authv3.CheckResponse, path string) (*verdict, error) {
	v := &verdict{allowed: rs.GetStatus().GetCode() == int32(code.Code_OK), metadata: rs.GetDynamicMetadata()}
	var err error
	switch {
	case v.allowed:
		ok := rs.GetOkResponse()
		if ok.GetDynamicMetadata() != nil {
			v.metadata = ok.GetDynamicMetadata()
		}
		v.permit, err = consent(path, ok)
	case rs.GetErrorResponse() != nil:
		return nil, errFailed
	default:
		d := rs.GetDeniedResponse()
		v.body, v.status = d.GetBody(), 403
		if c := int(d.GetStatus().GetCode()); c != 0 {
			v.status = c
		}
		v.headers, err = mutations(d.GetHeaders())
	}
	v.invalid = err != nil || !v.allowed && (v.status < 200 || v.status > 599)
	return v, nil
}
