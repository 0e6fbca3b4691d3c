package format

import (
	"encoding/json"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

type routeOf struct{ metadata *corev3.Metadata }

func (r routeOf) Metadata() *corev3.Metadata { return r.metadata }

type hostOf struct {
	exchange.VirtualHost
	metadata *corev3.Metadata
}

func (h hostOf) Metadata() exchange.Metadata { return h.metadata }

// TestMetadata: each kind is of its own place, and what stands there keeps its type: a null is as
// nothing, a text is escaped as every other, and JSON shows what it holds.
func TestMetadata(t *testing.T) {
	fields := func(place string, number any) map[string]any {
		return map[string]any{"k": place, "null": nil, "n": number, "text": "a\"b\n<", "list": []any{"<&>", nil}}
	}
	of := func(place string) *corev3.Metadata {
		s, err := structpb.NewStruct(fields(place, 1.5))
		if err != nil {
			t.Fatal(err)
		}
		return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"ns": s, "empty": {}}}
	}
	x := request()
	x.Route, x.VirtualHost = routeOf{of("route")}, hostOf{metadata: of("host")}
	x.Endpoint = endpoint{"h:1", of("endpoint")}
	x.Conn.Place = &exchange.Place{Metadata: of("listener"), ChainMetadata: of("chain")}
	x.ClusterMetadata = map[string]jsondoc.Value{"ns": jsondoc.Of(fields("cluster", json.Number("1.5"))), "empty": jsondoc.Of(map[string]any{})}
	for k, v := range fields("dynamic", json.Number("1.5")) {
		x.SetMetadata("ns", k, jsondoc.Of(v))
	}
	for kind, place := range map[string]string{"METADATA(ROUTE:": "route", "METADATA(VIRTUAL_HOST:": "host", "METADATA(CLUSTER:": "cluster", "METADATA(UPSTREAM_HOST:": "endpoint", "METADATA(LISTENER:": "listener",
		"METADATA(LISTENER_FILTER_CHAIN:": "chain", "METADATA(DYNAMIC:": "dynamic", "UPSTREAM_METADATA(": "endpoint", "CLUSTER_METADATA(": "cluster", "DYNAMIC_METADATA(": "dynamic"} {
		wants := map[string]string{"ns:k": `"` + place + `"`, "ns:null": "null", "ns:none": "null", "none:k": "null", "ns:k:none": "null", "ns:n": "1.5",
			"ns:text": `"a\"b\u000a<"`, "ns:list": `["<&>",null]`, "empty": "{}"}
		if place == "dynamic" {
			wants["empty"] = "null" // no filter has set it
		}
		for key, want := range wants {
			if got := asMember(t, kind+key+")", x); got != `{"v":`+want+"}\n" {
				t.Errorf("%s%s): %s, want %s", kind, key, got, want)
			}
			line, err := Text("%"+kind+key+")%", false)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(line.Append(nil, &Subject{X: x})); (got == "-") != (want == "null") {
				t.Errorf("%s%s): %s in text, %s in JSON", kind, key, got, want)
			}
		}
	}
	bare := &exchange.Exchange{}
	for _, kind := range []string{"LISTENER", "LISTENER_FILTER_CHAIN"} {
		f, err := Text("%METADATA("+kind+":ns)%", false)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.Append(nil, &Subject{X: bare})); got != "-" {
			t.Errorf("%s without a connection: %s", kind, got)
		}
	}
}

// TestFilterState: a text is escaped in each form, and has no fields.
func TestFilterState(t *testing.T) {
	x := request()
	x.SetFilterState("s", "a\"b\n")
	for form, want := range map[string]string{"s:PLAIN": `"a\"b\u000a"`, "s:TYPED": `"a\"b\u000a"`, "s": `"a\"b\u000a"`, "s:FIELD:f": "null", "none": "null"} {
		if got := asMember(t, "FILTER_STATE("+form+")", x); got != `{"v":`+want+"}\n" {
			t.Errorf("%s: %s, want %s", form, got, want)
		}
	}
}

// asMember gives what an operator alone makes as a member of JSON.
func asMember(t *testing.T, operator string, x *exchange.Exchange) string {
	t.Helper()
	m, err := structpb.NewStruct(map[string]any{"v": "%" + operator + "%"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := JSON(m, false)
	if err != nil {
		t.Fatal(err)
	}
	return string(f.AppendLine(nil, &Subject{X: x}))
}
