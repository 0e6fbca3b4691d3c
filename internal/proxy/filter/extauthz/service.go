package extauthz

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Clusters gives the cluster of a name as it is in force now, nil for none.
type Clusters func(name string) *upstream.Cluster

// service is an authorization server, spoken to in gRPC or plain HTTP.
type service interface {
	// check asks once. An error is the server's, the way to it, or the time that passed.
	check(ctx context.Context, q *question) (*verdict, error)
	// limit is how long that may take.
	limit() time.Duration
	// cluster names whom it asks, for the log.
	cluster() string
}

// question is what is asked about a request.
type question struct {
	x    *exchange.Exchange
	f    *Filter
	s    *settings
	body []byte
	// content tells that the filter takes content and that there is some; part, that body
	// is not all of it; raw, that it is told as bytes.
	content, part, raw bool
}

// verdict is what a server says.
type verdict struct {
	allowed bool
	invalid bool   // it cannot be done as it stands
	permit  permit // of a consent
	// Of a refusal:
	status  int
	body    string
	headers []mutation

	metadata *structpb.Struct // to be written
}

// errFailed is an answer that says that the server has failed.
var errFailed = errors.New("the server says that it has failed")
