package sidecar

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
)

type object = map[string]any

// File gives the bootstrap as JSON. It holds a credential: 0600.
func File(p Params) ([]byte, error) {
	if p.Trust == "" {
		p.Trust = "cluster.local"
	}
	p.Local.CA = p.CA
	p.Local.Trust = p.Trust
	p.Local.Identity = fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", p.Trust, p.Namespace, p.ServiceAccount)

	xds, err := controlPlane(XDSCluster, p.XDS, p.Trust, "h2")
	if err != nil {
		return nil, fmt.Errorf("xds: %w", err)
	}
	xds["typed_extension_protocol_options"] = object{
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
			"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config": object{"http2_protocol_options": object{}},
		},
	}
	clusters := []any{xds}
	if p.Mirror != "" {
		mirror, err := controlPlane(MirrorCluster, p.Mirror, p.Trust, "http/1.1")
		if err != nil {
			return nil, fmt.Errorf("mirror: %w", err)
		}
		clusters = append(clusters, mirror)
	}
	ads := object{"ads": object{}, "resource_api_version": "V3"}
	b := object{
		"node": p.node(),
		"dynamic_resources": object{
			"ads_config": object{
				"api_type": "DELTA_GRPC", "transport_api_version": "V3",
				"grpc_services": []any{object{"envoy_grpc": object{"cluster_name": XDSCluster}}},
			},
			"cds_config": ads, "lds_config": ads,
		},
		"static_resources": object{"clusters": clusters},
		"layered_runtime": object{"layers": []any{
			object{"name": Layer, "static_layer": object{"usher": p.Local}},
		}},
	}
	if p.Admin != "" {
		a, err := socketAddress(p.Admin)
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		b["admin"] = object{"address": a, "allow_paths": []any{object{"exact": "/ready"}, object{"prefix": "/stats/prometheus"}}}
	}
	if p.Address != "" {
		b["cluster_manager"] = object{"upstream_bind_config": object{
			"source_address": object{"address": p.Address, "port_value": 0},
		}}
	}
	return json.MarshalIndent(b, "", "  ")
}

func (p *Params) node() object {
	kind := "sidecar"
	usher := object{}
	if p.Outbound != "" {
		usher["outbound"] = p.Outbound
	}
	if len(p.Inbound) > 0 {
		usher["inbound"] = p.Inbound
	}
	if p.Gateway {
		kind = "router"
		usher["gatewayBind"] = p.GatewayBind
		usher["gatewayPorts"] = p.GatewayPorts
	}
	ip := p.Address
	if ip == "" {
		ip = "127.0.0.1"
	}
	cluster := p.Service
	if cluster == "" {
		cluster = p.Name
	}
	return object{
		"id":              fmt.Sprintf("%s~%s~%s.%s~%s.svc.%s", kind, ip, p.Name, p.Namespace, p.Namespace, p.Trust),
		"cluster":         cluster + "." + p.Namespace,
		"user_agent_name": UserAgent,
		"metadata": object{
			"NAMESPACE": p.Namespace, "NAME": p.Name, "SERVICE_ACCOUNT": p.ServiceAccount,
			"LABELS": p.labels(), "USHER": usher,
		},
	}
}

func (p *Params) labels() object {
	l := object{}
	for k, v := range p.Labels {
		l[k] = v
	}
	return l
}

// controlPlane is a cluster of one address, over mTLS with the proxy's own
// identity, whose server must be the control plane.
func controlPlane(name, addr, trust, alpn string) (object, error) {
	a, err := socketAddress(addr)
	if err != nil {
		return nil, err
	}
	own := func(secret string) object {
		return object{"name": secret, "sds_config": object{
			"resource_api_version": "V3",
			"api_config_source": object{
				"api_type": "GRPC", "transport_api_version": "V3",
				"grpc_services": []any{object{"envoy_grpc": object{"cluster_name": SDSCluster}}},
			},
		}}
	}
	return object{
		"name": name, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": object{
			"cluster_name": name,
			"endpoints":    []any{object{"lb_endpoints": []any{object{"endpoint": object{"address": a}}}}},
		},
		"transport_socket": object{
			"name": "envoy.transport_sockets.tls",
			"typed_config": object{
				"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
				"common_tls_context": object{
					"alpn_protocols":                     []any{alpn},
					"tls_certificate_sds_secret_configs": []any{own(OwnCert)},
					"combined_validation_context": object{
						"default_validation_context": object{
							"match_typed_subject_alt_names": []any{object{
								"san_type": "URI",
								"matcher":  object{"exact": ControlPlaneID(trust)},
							}},
						},
						"validation_context_sds_secret_config": own(OwnRoots),
					},
				},
			},
		},
	}, nil
}

// ControlPlaneID is the SPIFFE ID of the control plane.
func ControlPlaneID(trust string) string {
	return "spiffe://" + trust + "/ns/istio-system/sa/istiod"
}

func socketAddress(hostPort string) (object, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %q: %w", port, err)
	}
	return object{"socket_address": object{"address": host, "port_value": n}}, nil
}
