package hcm

import (
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

func TestRepliesRefused(t *testing.T) {
	for text, want := range map[string]string{
		`body_format: {text_format_source: {inline_string: "%NOPE%"}}`: "body_format.text_format_source: %NOPE%: unknown command",
		`body_format: {}`: "body_format.format: missing",
		`mappers: [{}]`:   "mappers[0].filter.filter_specifier: missing",
		`mappers: [{filter: {traceable_filter: {}}, status_code: 99}]`:                                                 "mappers[0].status_code: 99 is not one",
		`mappers: [{filter: {extension_filter: {name: cel}}}]`:                                                         "mappers[0].filter.extension_filter: not supported",
		`mappers: [{filter: {traceable_filter: {}}, headers_to_add: [{header: {key: ":status", value: x}}]}]`:          `mappers[0].headers_to_add[0].header.key: ":status" must not be set`,
		`mappers: [{filter: {traceable_filter: {}}, body_format_override: {text_format: x, formatters: [{name: x}]}}]`: "mappers[0].body_format_override.formatters[0].typed_config: missing",
	} {
		if _, err := compileReplies(proxytest.Decode(t, text, new(hcmv3.LocalReplyConfig))); err == nil || err.Error() != want {
			t.Errorf("%s:\n%v, want\n%s", text, err, want)
		}
	}
}

// The first mapper that takes an answer changes it, and no other.
func TestRepliesFirst(t *testing.T) {
	r, err := compileReplies(proxytest.Decode(t, `
mappers: [{filter: {response_flag_filter: {flags: [UH]}}, status_code: 418}, {filter: {not_health_check_filter: {}}, status_code: 500, body: {inline_string: one}}, {filter: {not_health_check_filter: {}}, status_code: 501, body: {inline_string: two}}]
body_format: {text_format: "<%LOCAL_REPLY_BODY%>%REQ(authorization)%"}`, new(hcmv3.LocalReplyConfig)))
	if err != nil {
		t.Fatal(err)
	}
	x := new(exchange.Exchange)
	x.Request.Header.Add("authorization", "Basic x")
	x.Response.Status = 503
	if body, kind := r.rewrite(x, "was"); body != "<one>Basic x" || kind != "text/plain" || x.Response.Status != 500 {
		t.Errorf("%q %s %d", body, kind, x.Response.Status)
	}
}
