package filterstate

import (
	"strings"
	"testing"

	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
)

func newFilter(t *testing.T, js string) (filter.Filter, error) {
	t.Helper()
	var m filterv3.Config
	if err := protojson.Unmarshal([]byte(js), &m); err != nil {
		t.Fatal(err)
	}
	a, err := anypb.New(&m)
	if err != nil {
		t.Fatal(err)
	}
	return Factory().New(filter.Config{Name: "state", Typed: a})
}

func TestValues(t *testing.T) {
	f, err := newFilter(t, `{"clear_route_cache": true, "on_request_headers": [
		{"object_key": "tenant", "factory_key": "envoy.string", "format_string": {"text_format_source": {"inline_string": "t-%REQ(x-tenant)%"}}},
		{"object_key": "envoy.string", "format_string": {"text_format": "%REQ(:METHOD)%"}},
		{"object_key": "empty", "factory_key": "envoy.string", "skip_if_empty": true, "format_string": {"text_format": "%REQ(x-empty)%"}},
		{"object_key": "secret", "factory_key": "envoy.string", "format_string": {"text_format": "%REQ(authorization)%"}}
	]}`)
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{}
	x.Request.Method = "GET"
	x.Request.Header.Add("x-tenant", `a"b`)
	x.Request.Header.Add("x-empty", "")
	x.Request.Header.Add("authorization", "Bearer x")
	if !f.Decode(x) || !x.RouteCleared() {
		t.Error("the request did not pass, or kept its route")
	}
	if x.FilterState["tenant"] != `t-a"b` || x.FilterState["envoy.string"] != "GET" || x.FilterState["secret"] != "[redacted]" {
		t.Errorf("%v", x.FilterState)
	}
	if _, ok := x.FilterState["empty"]; ok {
		t.Errorf("%v", x.FilterState)
	}
	x.Request.Header.Set("x-tenant", strings.Repeat("x", 2*maxValue))
	f.Decode(x)
	if n := len(x.FilterState["tenant"]); n != maxValue {
		t.Errorf("%d bytes are kept", n)
	}
}

// TestDestination: what is no address leaves the one before.
func TestDestination(t *testing.T) {
	f, err := newFilter(t, `{"on_request_headers": [
		{"object_key": "envoy.network.transport_socket.original_dst_address", "format_string": {"text_format": "%REQ(x-to)%"}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{}
	for _, c := range []struct{ to, want string }{
		{"a.test:80", "invalid AddrPort"}, {"[2001:DB8::1]:080", "[2001:db8::1]:80"}, {"10.0.0.1:81", "10.0.0.1:81"}, {"", "10.0.0.1:81"}, {"[fe80::1%lo]:80", "10.0.0.1:81"},
	} {
		x.Request.Header.Set("x-to", c.to)
		if f.Decode(x); x.Destination.String() != c.want || x.Destination.IsValid() && x.FilterState[exchange.DestinationState] != c.want {
			t.Errorf("%q: %s, %v, want %s", c.to, x.Destination, x.FilterState, c.want)
		}
	}
	if x.Reset(); x.Destination.IsValid() {
		t.Error("the next request of the connection has the destination, too")
	}
}

func TestRefused(t *testing.T) {
	const format = `"format_string": {"text_format": "x"}`
	for js, want := range map[string]string{
		`{"object_key": "k", ` + format + `}`:                                                                                  "factory_key",
		`{"object_key": "k", "factory_key": "envoy.ip", ` + format + `}`:                                                       "factory_key",
		`{"object_key": "envoy.network.transport_socket.original_dst_address", "factory_key": "envoy.string", ` + format + `}`: "factory_key",
		`{"object_key": "k", "factory_key": "envoy.network.transport_socket.original_dst_address", ` + format + `}`:            "factory_key",
		`{"factory_key": "envoy.string", ` + format + `}`:                                                                      "object_key",
		`{"object_key": "k", "factory_key": "envoy.string"}`:                                                                   "format_string",
		`{"object_key": "k", "factory_key": "envoy.string", "read_only": true, ` + format + `}`:                                "read_only",
		`{"object_key": "k", "factory_key": "envoy.string", "format_string": {"text_format": "%X"}}`:                           "format_string",
	} {
		_, err := newFilter(t, `{"on_request_headers": [`+js+`]}`)
		if err == nil || !strings.HasPrefix(err.Error(), "on_request_headers[0]."+want) {
			t.Errorf("%s: %v", js, err)
		}
	}
}
