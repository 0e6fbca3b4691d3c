package accesslog

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func text(s string) value  { return value{text: s, missing: s == ""} }
func number(n int64) value { return value{text: strconv.FormatInt(n, 10), json: true} }
func missing() value       { return value{missing: true} }
func millis(d int64) value { return number(d / int64(time.Millisecond)) }
func addr(a netip.Addr) value {
	if !a.IsValid() {
		return missing()
	}
	return text(a.String())
}

// addrPort is what an operator makes of an address.
func addrPort(get func(*exchange.Conn) netip.AddrPort, kind string) operator {
	return func(e *Entry) value {
		if e.X.Conn == nil {
			return missing()
		}
		a := get(e.X.Conn)
		switch {
		case !a.IsValid():
			return missing()
		case kind == "host":
			return addr(a.Addr())
		case kind == "port":
			return number(int64(a.Port()))
		}
		return text(a.String())
	}
}

func remote(c *exchange.Conn) netip.AddrPort { return c.Remote }
func local(c *exchange.Conn) netip.AddrPort  { return c.Local }

// simple are the operators without arguments.
var simple = map[string]operator{
	"PROTOCOL": func(e *Entry) value {
		if e.X.Request.ProtoMajor == 0 {
			return missing()
		}
		if e.X.Request.ProtoMajor == 2 {
			return text("HTTP/2")
		}
		return text("HTTP/" + strconv.Itoa(e.X.Request.ProtoMajor) + "." + strconv.Itoa(e.X.Request.ProtoMinor))
	},
	"RESPONSE_CODE":         func(e *Entry) value { return number(int64(e.X.Response.Status)) },
	"RESPONSE_CODE_DETAILS": func(e *Entry) value { return text(e.X.Details) },
	"RESPONSE_FLAGS":        func(e *Entry) value { return value{text: cmp.Or(e.X.ResponseFlags(), "-")} },
	"BYTES_RECEIVED":        func(e *Entry) value { return number(e.Received) },
	"BYTES_SENT":            func(e *Entry) value { return number(e.Sent) },
	"DURATION":              func(e *Entry) value { return millis(int64(e.End.Sub(e.X.Start))) },
	"RESPONSE_DURATION": func(e *Entry) value {
		if e.Upstream < 0 {
			return missing()
		}
		return millis(int64(e.Upstream))
	},
	"UPSTREAM_HOST":                     func(e *Entry) value { return text(e.X.UpstreamHost) },
	"UPSTREAM_REMOTE_ADDRESS":           func(e *Entry) value { return text(e.X.UpstreamHost) },
	"UPSTREAM_CLUSTER":                  func(e *Entry) value { return text(e.X.Cluster) },
	"UPSTREAM_CLUSTER_RAW":              func(e *Entry) value { return text(e.X.Cluster) },
	"UPSTREAM_LOCAL_ADDRESS":            func(e *Entry) value { return text(e.UpstreamLocal) },
	"UPSTREAM_TRANSPORT_FAILURE_REASON": func(e *Entry) value { return text(e.Failure) },
	"UPSTREAM_REQUEST_ATTEMPT_COUNT":    func(e *Entry) value { return number(int64(e.Attempts)) },
	"CONNECTION_TERMINATION_DETAILS": func(e *Entry) value {
		if e.X.Request.ProtoMajor != 0 {
			return missing() // of a request, not of its connection
		}
		return text(e.X.Details)
	},
	"ROUTE_NAME":        func(e *Entry) value { return text(e.Route) },
	"VIRTUAL_HOST_NAME": func(e *Entry) value { return text(e.VirtualHost) },
	"REQUESTED_SERVER_NAME": func(e *Entry) value {
		if e.X.Conn == nil {
			return missing()
		}
		return text(e.X.Conn.SNI)
	},
	"DOWNSTREAM_PEER_URI_SAN": func(e *Entry) value {
		if e.X.Conn == nil {
			return missing()
		}
		return text(e.X.Conn.PeerURI)
	},
	"DOWNSTREAM_REMOTE_ADDRESS":                     addrPort(remote, ""),
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":              addrPort(remote, ""),
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":        addrPort(remote, "host"),
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": addrPort(remote, "host"),
	"DOWNSTREAM_REMOTE_PORT":                        addrPort(remote, "port"),
	"DOWNSTREAM_LOCAL_ADDRESS":                      addrPort(local, ""),
	"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":         addrPort(local, "host"),
	"DOWNSTREAM_LOCAL_PORT":                         addrPort(local, "port"),
}

// compileOperator gives nil for a name that is not known.
func compileOperator(name, arg string) operator {
	switch name {
	case "START_TIME":
		layout := timeLayout(arg)
		return func(e *Entry) value { return text(e.X.Start.UTC().Format(layout)) }
	case "REQ", "REQ_WITHOUT_QUERY":
		main, alt, _ := strings.Cut(strings.ToLower(arg), "?")
		cut := name == "REQ_WITHOUT_QUERY"
		return func(e *Entry) value {
			v := requestField(e, main)
			if v.missing && alt != "" {
				v = requestField(e, alt)
			}
			if cut {
				v.text, _, _ = strings.Cut(v.text, "?")
			}
			return v
		}
	case "RESP", "TRAILER":
		main, alt, _ := strings.Cut(strings.ToLower(arg), "?")
		trailer := name == "TRAILER"
		return func(e *Entry) value {
			h := &e.X.Response.Header
			if trailer {
				h = &e.X.Response.Trailer
			}
			v := responseField(h, main)
			if v.missing && alt != "" {
				v = responseField(h, alt)
			}
			return v
		}
	case "DYNAMIC_METADATA":
		return dynamicMetadata(arg)
	case "FILTER_STATE":
		return filterState(arg)
	}
	if arg != "" {
		return nil
	}
	return simple[name]
}

// timeLayout gives Go's layout; Envoy's own default if the argument is empty or a
// form of strftime that is not known.
func timeLayout(arg string) string {
	switch arg {
	case "%Y-%m-%dT%H:%M:%SZ", "%FT%TZ":
		return "2006-01-02T15:04:05Z"
	case "%Y/%m/%dT%H:%M:%S%z", "%Y/%m/%dT%H:%M:%S%z %s":
		return "2006/01/02T15:04:05-0700"
	}
	return "2006-01-02T15:04:05.000Z"
}
