package format

import (
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/redact"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// requestPath is %PATH(WQ|NQ:ORIG|PATH|ORIG_OR_PATH)%: with the query or without, and
// which path.
func requestPath(arg string) (operator, error) {
	query, which, _ := strings.Cut(arg, ":")
	names := map[string]string{"ORIG": "x-envoy-original-path", "PATH": ":path", "ORIG_OR_PATH": "x-envoy-original-path?:path", "": "x-envoy-original-path?:path"}
	name, ok := names[which]
	change := map[string]func(string) string{"WQ": same, "": same, "NQ": withoutQuery}[query]
	if !ok || change == nil {
		return nil, strict.ErrUnsupported
	}
	return field(requestField).named(name, change)
}

// queryParam is %QUERY_PARAM(KEY)%.
func queryParam(arg string) (operator, error) {
	return func(b []byte, s *Subject) ([]byte, kind) {
		_, query, _ := strings.Cut(s.may(":path", s.X.Request.Path), "?")
		for query != "" {
			var pair string
			pair, query, _ = strings.Cut(query, "&")
			name, v, _ := strings.Cut(pair, "=")
			if match.Unescape(name) == arg {
				return append(b, match.Unescape(v)...), text
			}
		}
		return b, missing
	}, nil
}

// queryParams is %QUERY_PARAMS(ORIG|DECODED)%: the query.
func queryParams(arg string) (operator, error) {
	if arg != "" && arg != "ORIG" && arg != "DECODED" {
		return nil, strict.ErrUnsupported
	}
	return func(b []byte, s *Subject) ([]byte, kind) {
		_, query, ok := strings.Cut(s.may(":path", s.X.Request.Path), "?")
		if !ok {
			return b, missing
		}
		if arg == "DECODED" {
			decoded := visible(query)
			if !s.Bare {
				decoded = redact.Tokens(decoded)
			}
			return append(b, decoded...), text
		}
		return append(b, query...), text
	}, nil
}

// visible decodes the escapes of what can be seen alone, as Envoy does.
func visible(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c := match.Unescape(s[i : i+3]); len(c) == 1 && c[0] > ' ' && c[0] < 0x7f {
				b = append(b, c[0])
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
