package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// A dump of Envoy's form becomes a row a resource, filters and secrets with them.
func TestProxyConfigTable(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := &x509.Certificate{SerialNumber: big.NewInt(0xabc), NotBefore: from, NotAfter: from.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	chain := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	dump, err := readDump([]byte(`{"configs": [
	 {"@type": "x", "bootstrap": {"node": {}}},
	 {"@type": "x", "static_clusters": [{"cluster": {"name": "b"}}], "dynamic_active_clusters": [{"version_info": "7", "cluster": {"name": "a"}, "error_state": {"details": "lb_policy: no"}}],
	  "dynamic_warming_clusters": [{"version_info": "8", "cluster": {"name": "w"}}]},
	 {"@type": "x", "dynamic_endpoint_configs": [{"version_info": "1", "endpoint_config": {"cluster_name": "a"}}]},
	 {"@type": "x", "dynamic_listeners": [
	   {"name": "l", "active_state": {"version_info": "2", "listener": {"name": "l", "filter_chains": [{"name": "c", "filters": [{"typed_config": {"http_filters": [{"name": "jwt"}, {"name": "router"}]}}]}]}}},
	   {"name": "n", "error_state": {"details": "address in use"}}]},
	 {"@type": "x", "dynamic_active_secrets": [{"name": "default", "secret": {"name": "default", "tls_certificate": {"certificate_chain": {"inline_bytes": "` + chain + `"}, "private_key": {"inline_bytes": "W3JlZGFjdGVkXQ=="}}}}],
	  "dynamic_warming_secrets": [{"name": "later"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	squeeze := func(s string) string {
		var out []string
		for l := range strings.Lines(s) {
			out = append(out, strings.Join(strings.Fields(l), " "))
		}
		return strings.Join(out, "\n")
	}
	var all strings.Builder
	if err := printResources(&all, dump, "all"); err != nil {
		t.Fatal(err)
	}
	const want = `KIND NAME VERSION STATE
listeners l 2 in force
listeners n refused: address in use
clusters a 7 refused, the last good one is in force: lb_policy: no
clusters b in force
clusters w 8 waiting
endpoints a 1 in force
filters l/c/jwt in force
filters l/c/router in force
secrets default in force
secrets later waiting`
	if got := squeeze(all.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var secrets strings.Builder
	printSecrets(&secrets, dump["secrets"], from.Add(time.Minute))
	if got, want := squeeze(strings.ReplaceAll(secrets.String(), "\t", " ")), "RESOURCE NAME TYPE STATUS VALID CERT SERIAL NUMBER NOT AFTER NOT BEFORE\n"+
		"default Cert Chain ACTIVE true abc 2026-01-02T04:04:05Z 2026-01-02T03:04:05Z\nlater - WARMING false - - -"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if r := secretOf(dump["secrets"][0], from.Add(2*time.Hour)); r.valid {
		t.Error("an expired certificate is called valid")
	}
}
