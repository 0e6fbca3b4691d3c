package descriptor

import (
	"fmt"
	"net/netip"
	"testing"
	"unsafe"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// What Envoy and usher are not held against each other for (test/conformance/filters).
func TestOf(t *testing.T) {
	for text, want := range map[string]string{
		`actions: [{remote_address: {}}, {masked_remote_address: {v6_prefix_mask_len: 16}}]`:                                                        "remote_address=fd00:1::2 masked_remote_address=fd00::/16",
		`actions: [{remote_address_match: {descriptor_value: v, address_matcher: {ranges: [{address_prefix: "fd00::", prefix_len: 8}]}}}]`:          "remote_address_match=v",
		`actions: [{remote_address_match: {descriptor_value: v, address_matcher: {ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}}}]`:          "none",
		`actions: [{metadata: {descriptor_key: k, metadata_key: {key: jwt, path: [{key: payload}, {key: sub}]}}}]`:                                  "k=me",
		`actions: [{metadata: {descriptor_key: k, metadata_key: {key: jwt, path: [{key: payload}, {key: num}]}}}]`:                                  "none",
		`actions: [{metadata: {descriptor_key: k, default_value: d, metadata_key: {key: jwt, path: [{key: payload}, {key: sub}, {key: deeper}]}}}]`: "k=d",
		`actions: [{destination_cluster: {}}]`: "none", // it has no route
		`{actions: [{source_cluster: {}}], limit: {dynamic_metadata: {metadata_key: {key: m, path: [{key: good}]}}}}`: `source_cluster=me requests_per_unit:5 unit:HOUR`,
		`{actions: [{source_cluster: {}}], limit: {dynamic_metadata: {metadata_key: {key: m, path: [{key: text}]}}}}`: `source_cluster=me`,
		`{actions: [{source_cluster: {}}], limit: {dynamic_metadata: {metadata_key: {key: m, path: [{key: half}]}}}}`: `source_cluster=me`,
		`{actions: [{source_cluster: {}}], limit: {dynamic_metadata: {metadata_key: {key: m, path: [{key: unit}]}}}}`: `source_cluster=me`,
		`{actions: [{source_cluster: {}}], limit: {rate_limit: {requests_per_unit: 7, unit: SECOND}}}`:                `source_cluster=me requests_per_unit:7 unit:SECOND`,
		`actions: [{request_headers: {header_name: bad, descriptor_key: k}}]`:                                         "k=\xff",
	} {
		if text[0] != '{' {
			text = "{" + text + "}"
		}
		l, err := CompileAll([]*routev3.RateLimit{proxytest.Decode(t, text, &routev3.RateLimit{})}, InRoute)
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{Conn: &exchange.Conn{Remote: netip.MustParseAddrPort("[fd00:1::2%eth0]:5")}}
		x.Request.Header.Add("bad", "\xff")
		for name, doc := range map[string]string{"good": `{"requests_per_unit": 5, "unit": "HOUR"}`, "text": `{"requests_per_unit": "5", "unit": "HOUR"}`,
			"half": `{"requests_per_unit": 5.5, "unit": "HOUR"}`, "unit": `{"requests_per_unit": 5, "unit": "FORTNIGHT"}`, "payload": `{"sub": "me", "num": 5}`} {
			v, err := jsondoc.Parse(doc)
			if err != nil {
				t.Fatal(err)
			}
			x.SetMetadata("m", name, v)
			x.SetMetadata("jwt", name, v)
		}
		got := "none"
		if d, ok := l[0].Of(x, "me"); ok {
			got = ""
			for _, e := range d.Entries {
				got += " " + e.Key + "=" + e.Value
			}
			if d.Limit != nil {
				got += fmt.Sprintf(" requests_per_unit:%d unit:%v", d.Limit.GetRequestsPerUnit(), d.Limit.GetUnit())
			}
			got = got[1:]
			if m := d.Proto(); len(m.GetEntries()) != len(d.Entries) || m.GetEntries()[0].GetValue() == "\xff" {
				t.Errorf("%s: %v", text, m)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// A server is told of requests that are over, whose buffer holds another by then.
func TestProtoOutlivesTheRequest(t *testing.T) {
	buffer := []byte("mine")
	d := Descriptor{Entries: []Entry{{"k", unsafe.String(&buffer[0], len(buffer))}}}
	m := d.Proto()
	copy(buffer, "next")
	if got := m.GetEntries()[0].GetValue(); got != "mine" {
		t.Errorf("it tells %q of another request", got)
	}
}
