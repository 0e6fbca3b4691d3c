// Package upstream holds clusters: the endpoints a request may go to, who is
// chosen, and the connections that are open to them. It owns pools, load
// balancing, connect timeouts, source addresses and the transport socket that an
// endpoint gets. It knows neither routes nor filters.
package upstream
