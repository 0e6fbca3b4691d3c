package translate

import "strings"

// protocols maps what Istio calls protocols to those of the model.
var protocols = map[string]string{
	"http": "http", "http2": "http2", "grpc": "grpc", "grpc-web": "http", "h2c": "http2",
	"https": "tls", "tls": "tls", "tcp": "tcp", "mongo": "tcp", "redis": "tcp", "mysql": "tcp",
	"kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http", "kubernetes.io/wss": "tls", "ws": "http",
}

// protocol is what appProtocol says, else what the port's name begins with, else
// "".
func protocol(portName string, appProtocol *string) string {
	if appProtocol != nil {
		if p, ok := protocols[strings.ToLower(*appProtocol)]; ok {
			return p
		}
	}
	name := strings.ToLower(portName)
	if strings.HasPrefix(name, "grpc-web") {
		return "http"
	}
	prefix, _, _ := strings.Cut(name, "-")
	return protocols[prefix]
}
