package route

import (
	"strconv"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// authority gives host and port of the target. A port that is the old scheme's
// default does not survive a change of scheme.
func (d *Redirect) authority(host string, schemeChanged bool) string {
	port := ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i+1:]
	}
	if schemeChanged && (port == "80" || port == "443") {
		port = ""
	}
	if d.host != "" {
		host = d.host
	}
	if d.port != 0 {
		port = strconv.FormatUint(uint64(d.port), 10)
	}
	if port == "" {
		return host
	}
	return host + ":" + port
}

// target gives path and query of the redirection.
func (d *Redirect) target(x *exchange.Exchange, r *Route) string {
	path, query := x.Request.Path, ""
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i:]
	}
	switch {
	case d.path != "":
		if strings.Contains(d.path, "?") {
			query = ""
		}
		path = d.path
	case d.prefix != "":
		path = d.prefix + path[r.path.matched(path):]
	case d.regex != nil:
		path = d.regex.ReplaceAllString(path, d.substitute)
	}
	if d.stripQuery {
		query = ""
	}
	return path + query
}
