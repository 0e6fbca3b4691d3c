// Package route compiles Envoy's RouteConfiguration to a table that finds the
// route of a request: by host, path, header and query, in the order of the
// configuration, at a cost that hardly grows with the table. A table is immutable.
// The package knows no cluster but its name, and no connection.
package route
