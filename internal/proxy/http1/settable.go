package http1

// reserved are fields that say where a message ends or to whom it goes.
var reserved = map[string]bool{
	"content-length": true, "transfer-encoding": true, "connection": true, "keep-alive": true, "proxy-connection": true, "te": true,
	"trailer": true, "upgrade": true, "host": true, "http2-settings": true,
}

// Settable tells whether a server that a filter asks may set the field: who could set
// what frames a message, or names its target, could smuggle requests.
func Settable(name string) bool { return ValidName(name) && !reserved[name] }
