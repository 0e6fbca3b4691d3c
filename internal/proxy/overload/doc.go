// Package overload is Envoy's overload manager: it looks at resources now and then, and
// says what share of connections and requests is to be refused. It owns what is measured
// and decided; refusing is done by whoever asks. It knows no protocol.
package overload
