package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Work `configured` is `mesh` with what a mesh's sidecars have: two workloads run in a real
// mesh under policy, and what their proxies say they have is put into one file. What only
// that mesh has is changed to the site's: addresses, certificates, the key set.

const (
	requestForm = "istiofiles/enduser-authentication-jwt-istio.yml" // RequestAuthentication and AuthorizationPolicy
	configured  = "server.default.svc.cluster.local"
	inboundName = "inbound|8080||"
)

// configuredHost is what a client calls the server in a mesh.
const configuredHost = "server:8080"

// writeConfigured makes configured.json.
func (s *site) writeConfigured(ctx context.Context, bin string) (err error) {
	m, err := newMesh(bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close(ctx)) }()
	if err := m.up(ctx); err != nil {
		return err
	}
	for _, line := range [][]string{
		{"run", "-n", "default", "--service", "server", "--detach", "--", filepath.Join(m.bin, "tutorial"), "recommendation"},
		{"run", "-n", "default", "--service", "client", "--detach", "--", filepath.Join(m.bin, "tutorial"), "recommendation"},
		{"kubectl", "-n", "default", "apply", "-f", requestForm},
		{"kubectl", "-n", "default", "wait", "--for=condition=Programmed", "--timeout=20s", "-f", requestForm},
	} {
		if _, err := m.usher(ctx, line...); err != nil {
			return err
		}
	}
	d := dump{}
	for _, workload := range []string{"server-v1", "client-v1"} {
		text, err := m.usher(ctx, "proxy-config", workload, "-n", "default", "all", "-o", "json")
		if err != nil {
			return err
		}
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return fmt.Errorf("proxy-config %s: %w", workload, err)
		}
		d.read(workload+" ", v)
	}
	b, err := s.fromDump(d)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return s.write("configured.json", text)
}

// dump holds resources of the workloads: "server-v1 listener inbound_1.2.3.4_8080".
type dump map[string]object

// read finds listeners, route configurations, clusters and endpoints, wherever they stand.
func (d dump) read(workload string, v any) {
	switch v := v.(type) {
	case list:
		for _, e := range v {
			d.read(workload, e)
		}
	case object:
		name, _ := v["name"].(string)
		if kind, _ := v["@type"].(string); strings.HasPrefix(kind, "type.googleapis.com/envoy.config.") {
			delete(v, "@type") // in a dump a resource is an Any
		}
		switch {
		case v["filter_chains"] != nil:
			d[workload+"listener "+name] = v
		case v["virtual_hosts"] != nil:
			d[workload+"route "+name] = v
		case v["cluster_name"] != nil && v["endpoints"] != nil:
			d[workload+"endpoints "+v["cluster_name"].(string)] = v
		case v["connect_timeout"] != nil && (v["type"] != nil || v["cluster_type"] != nil):
			d[workload+"cluster "+name] = v
		default:
			for _, e := range v {
				d.read(workload, e)
			}
		}
	}
}

// fromDump gives one bootstrap: the client's outbound listener, the server's inbound one,
// and their clusters.
func (s *site) fromDump(d dump) (object, error) {
	outbound := d["client-v1 listener outbound"]
	var inbound object
	for name, l := range d {
		if strings.HasPrefix(name, "server-v1 listener inbound_") {
			inbound = l
		}
	}
	routes := d["client-v1 route outbound"]
	local := d["server-v1 cluster "+inboundName]
	if outbound == nil || inbound == nil || routes == nil || local == nil {
		return nil, fmt.Errorf("the mesh's proxies do not have what is expected, but %q", sortedKeys(d))
	}
	outbound["address"], inbound["address"] = address(s.Port["configured"]), address(s.Port["configured-inbound"])
	delete(outbound, "metadata") // that its clients must show the workload's credential
	clusters := list{local}
	local["load_assignment"] = s.cluster(inboundName, "upstream")["load_assignment"]
	for name, c := range d {
		name, ok := strings.CutPrefix(name, "client-v1 cluster ")
		if !ok || name == inboundName {
			continue
		}
		if c["type"] == "EDS" {
			c["type"] = "STATIC"
			delete(c, "eds_cluster_config")
			c["load_assignment"] = object{"cluster_name": name}
			if e := d["client-v1 endpoints "+name]; e != nil {
				c["load_assignment"] = e
				unweighted(e["endpoints"])
			}
		}
		if strings.HasSuffix(name, "||"+configured) {
			s.point(c["load_assignment"], "configured-inbound")
		}
		clusters = append(clusters, c)
	}
	b := object{"static_resources": object{"listeners": list{outbound, inbound}, "clusters": clusters}}
	s.localize(b, routes)
	return b, nil
}

// unweighted takes out the weight of 0 by which dumps, Envoy's too, say that a locality has
// none: configurations may not say so.
func unweighted(localities any) {
	all, _ := localities.(list)
	for _, l := range all {
		if l, ok := l.(object); ok && fmt.Sprint(l["load_balancing_weight"]) == "0" {
			delete(l, "load_balancing_weight")
		}
	}
}

// point sends all endpoints to a port of the site.
func (s *site) point(v any, port string) {
	switch v := v.(type) {
	case list:
		for _, e := range v {
			s.point(e, port)
		}
	case object:
		if v["address"] != nil {
			v["address"] = address(s.Port[port])
			return
		}
		for _, e := range v {
			s.point(e, port)
		}
	}
}

// localize takes certificates, identities, key sets, routes and the log from the site
// where the mesh's proxies get them from the control plane.
func (s *site) localize(v any, routes object) {
	switch v := v.(type) {
	case list:
		for _, e := range v {
			s.localize(e, routes)
		}
	case object:
		own := s.tlsContext()
		if v["tls_certificate_sds_secret_configs"] != nil {
			delete(v, "tls_certificate_sds_secret_configs")
			v["tls_certificates"] = own["tls_certificates"]
		}
		if v["combined_validation_context"] != nil {
			delete(v, "combined_validation_context")
			v["validation_context"] = own["validation_context"]
		}
		if v["remote_jwks"] != nil {
			delete(v, "remote_jwks")
			v["local_jwks"] = object{"filename": s.File("jwks.json")}
		}
		if v["rds"] != nil {
			delete(v, "rds")
			v["route_config"] = routes
		}
		if v["path"] == "/dev/stdout" {
			v["path"] = s.File("access.log")
		}
		for _, e := range v {
			s.localize(e, routes)
		}
	}
}

func sortedKeys(d dump) []string { return slices.Sorted(maps.Keys(d)) }
