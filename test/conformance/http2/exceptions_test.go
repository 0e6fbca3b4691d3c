package http2

// exceptions are requests that usher answers otherwise, on purpose, and why.
var exceptions = map[string]string{
	"OPTIONS *":                     "a route to the path * is found",
	"bad: CONNECT":                  "refused by 403, as on HTTP/1.1, not 404",
	"bad: another Host":             "Host must agree with :authority (RFC 9113, 8.3.1); Envoy drops it",
	"bad: byte above ASCII in path": "a path is ASCII, as on HTTP/1.1",
	"bad: fragment":                 "a malformed path is a malformed head; Envoy answers 400",
	"bad: lower method":             "methods are registered ones, as on HTTP/1.1; Envoy takes any token on HTTP/2",
	"bad: unregistered method":      "methods are registered ones, as on HTTP/1.1; Envoy takes any token on HTTP/2",
	"bad: space before value":       "RFC 9113, 8.2.1",
	"bad: space after value":        "RFC 9113, 8.2.1",
	"content":                       "content that is at hand goes to HTTP/1.1 with its length, not in chunks",
	"gRPC":                          "content that is at hand goes to HTTP/1.1 with its length, not in chunks",
	"expect":                        "who has sent the content does not wait for 100 (Continue)",
	"content of GET":                "content that is at hand goes to HTTP/1.1 with its length, not in chunks",
}
