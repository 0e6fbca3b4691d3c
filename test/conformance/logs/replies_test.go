package logs

import "testing"

// TestReplies compares the proxies' own answers as a configuration changes them.
func TestReplies(t *testing.T) {
	replies := func(name, config string) *world {
		return &world{name: name, manager: "local_reply_config: {" + config + "}", routes: severalRoutes, asks: append(several, ask{method: "HEAD", path: "/dead"}, ask{path: "/direct", header: []string{"a: json"}}),
			log: `log_format: {text_format_source: {inline_string: "%REQ(:path)% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_SENT%\n"}}`}
	}
	const of503 = "filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 503, runtime_key: k}}}}"
	const any = "filter: {not_health_check_filter: {}}"
	direct := func(name, fields string) *world {
		return &world{name: name, routes: `[{name: d, match: {prefix: /}, direct_response: {status: 200, ` + fields + `}, response_headers_to_add: [{header: {key: x, value: one}}]}]`,
			asks: []ask{{path: "/a", header: []string{"a: 1"}}, {method: "HEAD"}}, log: `log_format: {text_format_source: {inline_string: "%RESPONSE_CODE% %BYTES_SENT%\n"}}`}
	}
	compare(t, []*world{
		replies("none", ""),
		replies("text", `body_format: {text_format_source: {inline_string: "%LOCAL_REPLY_BODY%|%RESPONSE_CODE%|%REQ(:path)%|%RESPONSE_FLAGS%|%REQ(none)%|%RESP(x-none)%|%ROUTE_NAME%"}}`),
		replies("html", `body_format: {text_format_source: {inline_string: "<p>%LOCAL_REPLY_BODY%"}, content_type: "text/html; charset=UTF-8"}`),
		replies("json", `body_format: {json_format: {text: "%LOCAL_REPLY_BODY%", status: "%RESPONSE_CODE%", path: "%REQ(:path)%", none: "%REQ(none)%"}}`),
		replies("mapped", `mappers: [{`+of503+`, status_code: 500, body: {inline_string: sorry}, headers_to_add: [{header: {key: x-was, value: "%RESPONSE_CODE% %REQ(:path)%"}}]}, {`+any+`, headers_to_add: [{header: {key: x-other, value: "1"}}]}]`),
		replies("override", `mappers: [{`+of503+`, body: {inline_string: sorry}, body_format_override: {json_format: {why: "%LOCAL_REPLY_BODY%", code: "%RESPONSE_CODE%"}}}], body_format: {text_format_source: {inline_string: "%LOCAL_REPLY_BODY%!"}}`),
		replies("typed", `mappers: [{`+any+`, headers_to_add: [{header: {key: content-type, value: text/css}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}], body_format_override: {text_format_source: {inline_string: "x"}}}]`),
		replies("empty", `mappers: [{`+any+`, body: {inline_string: ""}}]`),
		replies("flags", `mappers: [{filter: {response_flag_filter: {flags: [UF]}}, status_code: 418}, {filter: {header_filter: {header: {name: a, string_match: {exact: json}}}}, body_format_override: {json_format: {a: "%REQ(a)%"}}}]`),
		direct("direct", `body_format: {text_format_source: {inline_string: "%REQ(:path)% %REQ(a)% %REQ(none)% %ROUTE_NAME%"}}`),
		direct("directjson", `body: {inline_string: was}, body_format: {json_format: {was: "%LOCAL_REPLY_BODY%", path: "%REQ(:path)%"}}`),
		direct("directhtml", `body: {inline_string: was}, body_format: {text_format_source: {inline_string: "<p>%LOCAL_REPLY_BODY%"}, content_type: text/html}`),
	})
}
