package extauthz

import (
	"context"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// httpService asks by a copy of the request: 200 is a consent, 5xx a failure, anything
// else a refusal.
type httpService struct {
	name             string
	timeout          time.Duration
	prefix, override string // of the path
	allowed          []match.String
	add              []exchange.Field
	upstream, append []match.String // what of a consent the request gets
	client           []match.String // what of a refusal the client gets; nil: all
	success          []match.String // what of a consent the client gets
	metadata         []match.String
	clusters         Clusters
}

func (c *httpService) limit() time.Duration { return c.timeout }
func (c *httpService) cluster() string      { return c.name }

// maxBody bounds a server's answer.
const maxBody = 1 << 20

func (c *httpService) check(ctx context.Context, q *question) (*verdict, error) {
	if q.x.Request.Method == "CONNECT" { // has no copy; and is no failure, which might let it in
		return &verdict{status: http.StatusForbidden}, nil
	}
	cl := c.clusters(c.name)
	if cl == nil {
		return nil, upstream.ErrNoHealthy
	}
	a, err := cl.Call(ctx, c.request(q), q.body, maxBody)
	if err != nil {
		return nil, err
	}
	return c.read(a)
}

// request makes the copy.
func (c *httpService) request(q *question) *exchange.Request {
	rq := &q.x.Request
	out := &exchange.Request{Method: rq.Method, Authority: rq.Authority, Path: c.prefix + rq.Path, ProtoMajor: 1}
	if c.override != "" {
		out.Path = c.override
	}
	q.headers(c.passes, func(name, value string) {
		if http1.Settable(name) {
			out.Header.Add(name, value)
		}
	})
	for _, f := range c.add {
		out.Header.Set(f.Name, f.Value)
	}
	return out
}

// passes tells whether the server may see a header of the request.
func (c *httpService) passes(f *Filter, name string) bool {
	switch {
	case anyOf(f.disallowed, name):
		return false
	case name == "authorization":
		return true
	}
	return anyOf(f.allowed, name) || anyOf(c.allowed, name)
}

// toRemove is the field of a consent that names fields which the request loses.
const toRemove = "x-envoy-auth-headers-to-remove"

// read reads an answer. What frames it, or names a target, is the answer's own and not
// meant for anybody else.
func (c *httpService) read(a *upstream.Answer) (*verdict, error) {
	if a.Status >= 500 {
		return nil, errFailed
	}
	v := &verdict{allowed: a.Status == 200, status: a.Status, body: string(a.Body)}
	for _, f := range a.Header.Fields() {
		m := mutation{name: f.Name, value: f.Value}
		switch {
		case f.Name == toRemove:
			if v.allowed {
				v.permit.removes(f.Value)
			}
			continue
		case v.allowed && anyOf(c.metadata, f.Name):
			if v.metadata == nil {
				v.metadata = &structpb.Struct{Fields: map[string]*structpb.Value{}}
			}
			v.metadata.Fields[f.Name] = structpb.NewStringValue(strings.ToValidUTF8(f.Value, "!"))
		}
		switch {
		case !http1.Settable(f.Name):
		case !v.allowed:
			if c.client == nil || anyOf(c.client, f.Name) || f.Name == "www-authenticate" || f.Name == "location" {
				v.headers = append(v.headers, m)
			}
		default:
			if anyOf(c.upstream, f.Name) {
				v.permit.request = append(v.permit.request, m)
			}
			if anyOf(c.append, f.Name) {
				added := m
				added.adds = true
				v.permit.request = append(v.permit.request, added)
			}
			if anyOf(c.success, f.Name) {
				v.permit.response = append(v.permit.response, m)
			}
		}
	}
	return v, nil
}

// removes adds names to those that the request loses.
func (p *permit) removes(list string) {
	for n := range strings.SplitSeq(list, ",") {
		if n = strings.ToLower(strings.Trim(n, " \t")); http1.Settable(n) {
			p.remove = append(p.remove, n)
		}
	}
}
