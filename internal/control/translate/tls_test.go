package translate_test

import (
	"cmp"
	"reflect"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/mesh"
)

// TestServerTLS: what a server's TLS settings demand is in the model, or the
// server stays closed and the status names the field. Other servers stay open.
func TestServerTLS(t *testing.T) {
	const mutual = "mode: MUTUAL, credentialName: c"
	for name, tc := range map[string]struct {
		protocol, tls string
		want          *mesh.ServerTLS
		reason, field string // of the refusal
	}{
		"simple":          {"HTTPS", "mode: SIMPLE, credentialName: c", &mesh.ServerTLS{Credential: "c"}, "", ""},
		"names":           {"HTTPS", mutual + ", subjectAltNames: [a, b]", &mesh.ServerTLS{Credential: "c", Mutual: true, ClientNames: []string{"a", "b"}}, "", ""},
		"versions":        {"HTTPS", mutual + ", minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_3", &mesh.ServerTLS{Credential: "c", Mutual: true, Min: mesh.TLS12, Max: mesh.TLS13}, "", ""},
		"names of nobody": {"HTTPS", "mode: SIMPLE, credentialName: c, subjectAltNames: [a]", nil, "Invalid", "subjectAltNames"},
		"versions turned": {"HTTPS", mutual + ", minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2", nil, "Invalid", "maxProtocolVersion"},
		"old version":     {"HTTPS", mutual + ", minProtocolVersion: TLSV1_1", nil, "Unsupported", "minProtocolVersion"},
		"old maximum":     {"HTTPS", mutual + ", maxProtocolVersion: TLSV1_0", nil, "Unsupported", "maxProtocolVersion"},
		"ciphers":         {"HTTPS", mutual + ", cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384]", nil, "Unsupported", "cipherSuites"},
		"hash":            {"HTTPS", mutual + ", verifyCertificateHash: [aa]", nil, "Unsupported", "verifyCertificateHash"},
		"key":             {"HTTPS", mutual + ", verifyCertificateSpki: [aa]", nil, "Unsupported", "verifyCertificateSpki"},
		"revocation":      {"HTTPS", mutual + ", caCrl: /crl.pem", nil, "Unsupported", "caCrl"},
		"roots":           {"HTTPS", mutual + ", caCertificates: /ca.pem", nil, "Unsupported", "caCertificates"},
		"optional":        {"HTTPS", "mode: OPTIONAL_MUTUAL, credentialName: c", nil, "Unsupported", "mode"},
		"in clear":        {"HTTP", mutual, nil, "Invalid", "credentialName"},
	} {
		t.Run(name, func(t *testing.T) {
			m, statuses := model(t, `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: t}
spec:
  selector: {istio: gateway}
  servers:
  - {port: {number: 443, name: s, protocol: `+tc.protocol+`}, hosts: [a.test], tls: {`+tc.tls+`}}
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [b.test], tls: {httpsRedirect: true}}
`)
			st, open := statuses["Gateway/gw"], m.Gateways[0].Servers
			if st.Reason != cmp.Or(tc.reason, "Accepted") || !strings.Contains(st.Message, tc.field) {
				t.Errorf("status %+v", st)
			}
			if n := len(open); n == 0 || open[n-1].Port != 80 {
				t.Fatalf("the other server: %+v", open)
			}
			if tc.want == nil {
				if len(open) != 1 {
					t.Errorf("open: %+v", open[0])
				}
			} else if !reflect.DeepEqual(open[0].TLS, tc.want) {
				t.Errorf("TLS %+v, want %+v", open[0].TLS, tc.want)
			}
		})
	}
}

// TestClientTLS: a DestinationRule that asks for TLS that is not supported leaves
// no way to what it speaks of, rather than one that is less safe.
func TestClientTLS(t *testing.T) {
	const auto, none, mtls, noWay = mesh.AutoMTLS, mesh.NoTLS, mesh.MeshMTLS, mesh.NoWay
	for name, tc := range map[string]struct {
		text                     string
		http, admin, v1, v1Admin mesh.ClientMode // ports 80 and 81; those of the subset
		field                    string
	}{
		"nothing":        {rule("r", "1", "subsets: [{name: v1}]"), auto, auto, auto, auto, ""},
		"mutual":         {rule("r", "1", "trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}, subsets: [{name: v1}]"), mtls, mtls, mtls, mtls, ""},
		"simple":         {rule("r", "1", "trafficPolicy: {tls: {mode: SIMPLE}}, subsets: [{name: v1}]"), noWay, noWay, noWay, noWay, "spec.trafficPolicy.tls.mode: SIMPLE"},
		"own keys":       {rule("r", "1", "trafficPolicy: {tls: {mode: MUTUAL, credentialName: c}}, subsets: [{name: v1}]"), noWay, noWay, noWay, noWay, "tls.mode: MUTUAL"},
		"names":          {rule("r", "1", "trafficPolicy: {tls: {mode: ISTIO_MUTUAL, subjectAltNames: [x]}}, subsets: [{name: v1}]"), noWay, noWay, noWay, noWay, "tls.subjectAltNames"},
		"subset":         {rule("r", "1", "subsets: [{name: v1, trafficPolicy: {tls: {mode: SIMPLE}}}]"), auto, auto, noWay, noWay, "spec.subsets[v1].trafficPolicy.tls.mode"},
		"subset's other": {rule("r", "1", "trafficPolicy: {tls: {mode: SIMPLE}}, subsets: [{name: v1, trafficPolicy: {tls: {mode: DISABLE}}}]"), noWay, noWay, none, none, "tls.mode"},
		"port":           {rule("r", "1", "trafficPolicy: {portLevelSettings: [{port: {number: 81}, tls: {mode: SIMPLE}}]}, subsets: [{name: v1}]"), auto, noWay, auto, noWay, "portLevelSettings[0].tls.mode"},
		"port's other":   {rule("r", "1", "trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 81}, tls: {mode: ISTIO_MUTUAL}}, {port: {number: 80}}]}, subsets: [{name: v1}]"), auto, mtls, auto, mtls, ""},
		"subset's port":  {rule("r", "1", "trafficPolicy: {portLevelSettings: [{port: {number: 81}, tls: {mode: SIMPLE}}]}, subsets: [{name: v1, trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: MUTUAL}}]}}]"), auto, noWay, noWay, noWay, "portLevelSettings[0].tls.mode"},
		"second rule":    {rule("r", "2", "trafficPolicy: {tls: {mode: SIMPLE}}") + rule("s", "1", "subsets: [{name: v1}]"), noWay, noWay, auto, auto, "tls.mode"},
	} {
		t.Run(name, func(t *testing.T) {
			m, statuses := model(t, tc.text)
			if st := statuses["DestinationRule/r"]; st.Accepted != (tc.field == "") || !strings.Contains(st.Message, tc.field) || !st.Accepted && st.Reason != "Unsupported" {
				t.Errorf("status %+v", st)
			}
			s := m.Service("a.t.svc.cluster.local")
			sub := s.Subsets[0].TLS
			got := [4]mesh.ClientMode{s.TLS.For(80), s.TLS.For(81), sub.For(80), sub.For(81)}
			if want := [4]mesh.ClientMode{tc.http, tc.admin, tc.v1, tc.v1Admin}; got != want {
				t.Errorf("ways %v, want %v", got, want)
			}
		})
	}
}
