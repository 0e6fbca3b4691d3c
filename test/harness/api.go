package harness

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// API is an HTTP client with the admin's credentials and the API's URL, for tests
// that must know when the API server answered.
func (m *Mesh) API() (client *http.Client, url string) {
	m.T.Helper()
	data, err := os.ReadFile(m.Kubeconfig)
	if err != nil {
		m.T.Fatal(err)
	}
	var cfg struct {
		Clusters []struct {
			Cluster struct {
				Server string `yaml:"server"`
				CA     string `yaml:"certificate-authority-data"`
			} `yaml:"cluster"`
		} `yaml:"clusters"`
		Users []struct {
			User struct {
				Cert string `yaml:"client-certificate-data"`
				Key  string `yaml:"client-key-data"`
			} `yaml:"user"`
		} `yaml:"users"`
	}
	if err := yaml.Unmarshal(data, &cfg); err != nil || len(cfg.Clusters) != 1 || len(cfg.Users) != 1 {
		m.T.Fatalf("kubeconfig: %v", err)
	}
	pem := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			m.T.Fatal(err)
		}
		return b
	}
	cert, err := tls.X509KeyPair(pem(cfg.Users[0].User.Cert), pem(cfg.Users[0].User.Key))
	if err != nil {
		m.T.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem(cfg.Clusters[0].Cluster.CA))
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12,
		}},
	}, cfg.Clusters[0].Cluster.Server
}
