package format

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

type endpoint struct {
	name     string
	metadata *corev3.Metadata
}

func (e endpoint) Hostname() string            { return e.name }
func (e endpoint) Metadata() exchange.Metadata { return e.metadata }

// What is known of the way stands in a line; without it, and with what no configuration has
// said, there is nothing, and nobody fails.
func TestWay(t *testing.T) {
	of := func(v map[string]any) *corev3.Metadata {
		s, err := structpb.NewStruct(v)
		if err != nil {
			t.Fatal(err)
		}
		return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"ns": s}}
	}
	const format = "%UPSTREAM_CONNECTION_ID% %UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT% %UPSTREAM_METADATA(ns:n)% %METADATA(UPSTREAM_HOST:ns:l)% %METADATA(LISTENER:ns:k)% %METADATA(LISTENER_FILTER_CHAIN:ns:k):1% " +
		"%METADATA(ROUTE:ns:k)% %METADATA(VIRTUAL_HOST:ns:k)% %FILTER_CHAIN_NAME% %UPSTREAM_TLS_VERSION% %UPSTREAM_PEER_SUBJECT% %UPSTREAM_LOCAL_URI_SAN% %DOWNSTREAM_LOCAL_SUBJECT% %COMMON_DURATION(US_CX_BEG:US_HS_END)%"
	f, err := Text(format, false)
	if err != nil {
		t.Fatal(err)
	}
	x := request()
	for _, want := range []string{
		"0 - - - - - - - - - - - - - -",
		"7 127.0.0.3:81 127.0.0.3 - - - - - - c - - - - -",
		"7 h:1 h 1.5 [1,null] a b - - c - - - - -",
	} {
		if got := string(f.Append(nil, &Subject{X: x})); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if x.Endpoint == nil {
			x.Upstream, x.Endpoint, x.Conn.Place = &exchange.UpstreamConn{ID: 7}, endpoint{}, &exchange.Place{Chain: "c"}
			continue
		}
		x.Endpoint = endpoint{"h:1", of(map[string]any{"n": 1.5, "l": []any{1, nil}})}
		x.Conn.Place = &exchange.Place{Chain: "c", Metadata: of(map[string]any{"k": "a"}), ChainMetadata: of(map[string]any{"k": "bc"})}
	}
	for _, bad := range []string{"%METADATA(NONE:ns:k)%", "%METADATA%", "%UPSTREAM_METADATA(ns:k):3%", "%COMMON_DURATION(US_CX_BEG)%", "%COMMON_DURATION(US_CX_BEG:NONE)%", "%UPSTREAM_TLS_SESSION_ID%", "%UPSTREAM_WIRE_BYTES_SENT%"} {
		if _, err := Text(bad, false); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
