package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/identity/identitytest"
)

const (
	customer   = "spiffe://cluster.local/ns/tutorial/sa/customer"
	preference = "spiffe://cluster.local/ns/tutorial/sa/preference"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func clock() identity.Option { return identity.WithClock(func() time.Time { return now }) }

type mod = func(*x509.Certificate)

func expired(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }
func early(c *x509.Certificate)   { c.NotBefore = now.Add(time.Second) }
func noURI(c *x509.Certificate)   { c.URIs, c.DNSNames = nil, []string{"preference"} }
func twoURIs(c *x509.Certificate) {
	c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: "cluster.local", Path: "/x"})
}
func notSPIFFE(c *x509.Certificate) {
	c.URIs[0] = &url.URL{Scheme: "https", Host: "cluster.local", Path: "/x"}
}
func onlyFor(u x509.ExtKeyUsage) mod {
	return func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{u} }
}
func authority(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

// handshake connects both over loopback and gives what each side says.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error, resumed bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			s := tls.Server(c, server)
			if err := s.Handshake(); err != nil {
				return err
			}
			// The byte makes the client read, and so take the session ticket.
			if _, err := s.Write([]byte{1}); err != nil {
				return err
			}
			return s.CloseWrite()
		}()
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Client(raw, client)
	if clientErr = c.Handshake(); clientErr == nil {
		if n, err := c.Read(make([]byte, 1)); n == 0 { // the end may come with the byte
			clientErr = err
		}
	}
	resumed = c.ConnectionState().DidResume
	_ = raw.Close()
	return <-done, clientErr, resumed
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPeers(t *testing.T) {
	mesh := identitytest.New(t, "mesh", now)
	other := identitytest.New(t, "other", now)
	from := func(a *identitytest.Authority, id string, mods ...mod) identity.Static {
		s := a.Source(t, id, mods...)
		s.Pool = mesh.Pool() // what one is judged by is not one's own choice
		return s
	}
	tests := []struct {
		name           string
		server, client identity.Static
		expect         []string // of the server
		allowed        func(spiffeid.ID) error
		serverErr      string
		clientErr      string
	}{
		{name: "both good"},
		{name: "one of two expected", expect: []string{customer, preference}},
		{name: "client of another authority", client: from(other, customer),
			serverErr: "client: x509: certificate signed by unknown authority"},
		{name: "client expired", client: from(mesh, customer, expired),
			serverErr: "client: x509: certificate has expired or is not yet valid: current time 2030-01-02T03:04:05Z is after 2030-01-02T03:04:04Z"},
		{name: "client not yet valid", client: from(mesh, customer, early),
			serverErr: "client: x509: certificate has expired or is not yet valid: current time 2030-01-02T03:04:05Z is before 2030-01-02T03:04:06Z"},
		{name: "client of another trust domain", client: from(mesh, "spiffe://evil.example/ns/tutorial/sa/customer"),
			serverErr: "client: spiffe://evil.example/ns/tutorial/sa/customer is not of the trust domain cluster.local"},
		{name: "client without URI", client: from(mesh, customer, noURI),
			serverErr: "client: certificate has no URI SAN"},
		{name: "client with two URIs", client: from(mesh, customer, twoURIs),
			serverErr: "client: certificate has 2 URI SANs, not one"},
		{name: "client's URI is no SPIFFE ID", client: from(mesh, customer, notSPIFFE),
			serverErr: "client: certificate's URI SAN is not a SPIFFE ID: scheme is missing or invalid"},
		{name: "client's certificate is for servers", client: from(mesh, customer, onlyFor(x509.ExtKeyUsageServerAuth)),
			serverErr: "client: x509: certificate specifies an incompatible key usage"},
		{name: "client's certificate is an authority's", client: from(mesh, customer, authority),
			serverErr: "client: certificate is an authority's, not a workload's"},
		{name: "client not allowed", allowed: func(id spiffeid.ID) error { return errors.New(id.Path() + " may not") },
			serverErr: "client: /ns/tutorial/sa/customer may not"},
		{name: "client without certificate", client: identity.Static{Pool: mesh.Pool()},
			clientErr: "no certificate"},
		{name: "server of another authority", server: from(other, preference),
			clientErr: "server: x509: certificate signed by unknown authority"},
		{name: "server expired", server: from(mesh, preference, expired),
			clientErr: "server: x509: certificate has expired or is not yet valid: current time 2030-01-02T03:04:05Z is after 2030-01-02T03:04:04Z"},
		{name: "server is another service", server: from(mesh, customer),
			clientErr: "server: it is " + customer + ", expected " + preference},
		{name: "server is none of two", expect: []string{preference, preference + "2"}, server: from(mesh, customer),
			clientErr: "server: it is " + customer + ", expected " + preference + " or " + preference + "2"},
		{name: "server without URI", server: from(mesh, preference, noURI),
			clientErr: "server: certificate has no URI SAN"},
		{name: "server with two URIs", server: from(mesh, preference, twoURIs),
			clientErr: "server: certificate has 2 URI SANs, not one"},
		{name: "server's certificate is for clients", server: from(mesh, preference, onlyFor(x509.ExtKeyUsageClientAuth)),
			clientErr: "server: x509: certificate specifies an incompatible key usage"},
		{name: "nobody is expected", expect: []string{},
			clientErr: "server: no identity is expected of it, so none is accepted"},
		{name: "client has no roots", client: identity.Static{Cert: mesh.Issue(t, customer)},
			clientErr: "server: no root certificates"},
		{name: "server has no roots", server: identity.Static{Cert: mesh.Issue(t, preference)},
			serverErr: "client: no root certificates"},
	}
	for _, tt := range tests {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+"/"+tls.VersionName(version), func(t *testing.T) {
				if tt.server == (identity.Static{}) {
					tt.server = from(mesh, preference)
				}
				if tt.client == (identity.Static{}) {
					tt.client = from(mesh, customer)
				}
				if tt.expect == nil {
					tt.expect = []string{preference}
				}
				s := identity.ServerTLS(tt.server, tt.allowed, clock())
				c := identity.ClientTLS(tt.client, tt.expect, clock())
				s.MaxVersion = version
				sErr, cErr, _ := handshake(t, s, c)
				switch {
				case tt.serverErr != "":
					if text(sErr) != tt.serverErr {
						t.Errorf("server says %q, want %q", text(sErr), tt.serverErr)
					}
					if cErr == nil {
						t.Error("the client was served")
					}
				case tt.clientErr != "":
					if text(cErr) != tt.clientErr {
						t.Errorf("client says %q, want %q", text(cErr), tt.clientErr)
					}
					if sErr == nil && version == tls.VersionTLS12 {
						t.Error("the server went on")
					}
				default:
					if sErr != nil || cErr != nil {
						t.Errorf("server %v, client %v", sErr, cErr)
					}
				}
			})
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	mesh := identitytest.New(t, "mesh", now)
	s := identity.ServerTLS(mesh.Source(t, preference), nil, clock())
	c := identity.ClientTLS(mesh.Source(t, customer), []string{preference}, clock())
	c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if sErr, cErr, _ := handshake(t, s, c); sErr == nil || cErr == nil {
		t.Fatalf("TLS 1.1 was accepted: server %v, client %v", sErr, cErr)
	}
}

// A resumed session shows no certificate again; the old one is judged anew.
func TestResumedSessionsAreJudged(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			mesh := identitytest.New(t, "mesh", now)
			other := identitytest.New(t, "other", now)
			at := now
			at2 := identity.WithClock(func() time.Time { return at })
			var refuse error
			roots := &switching{Static: mesh.Source(t, preference)}
			s := identity.ServerTLS(roots, func(spiffeid.ID) error { return refuse }, at2)
			croots := &switching{Static: mesh.Source(t, customer)}
			c := identity.ClientTLS(croots, []string{preference}, at2)
			c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			c.ServerName = "preference"
			s.MaxVersion = version

			connect := func(wantServer, wantClient string) {
				t.Helper()
				sErr, cErr, _ := handshake(t, s, c)
				if wantServer == "" && wantClient == "" && (sErr != nil || cErr != nil) {
					t.Fatalf("server %v, client %v", sErr, cErr)
				}
				if wantServer != "" && text(sErr) != wantServer {
					t.Fatalf("server says %q, want %q", text(sErr), wantServer)
				}
				if wantClient != "" && text(cErr) != wantClient {
					t.Fatalf("client says %q, want %q", text(cErr), wantClient)
				}
			}
			connect("", "")
			if _, _, resumed := handshake(t, s, c); !resumed {
				t.Fatal("the session was not resumed: the test shows nothing")
			}
			refuse = errors.New("no more")
			connect("client: no more", "")
			refuse = nil
			connect("", "")
			roots.pool = other.Pool()
			connect("client: x509: certificate signed by unknown authority", "")
			roots.pool = nil
			connect("", "")
			croots.pool = other.Pool()
			connect("", "server: x509: certificate signed by unknown authority")
			croots.pool = nil
			connect("", "")
			at = now.Add(61 * time.Minute) // after the end of both certificates
			if sErr, cErr, _ := handshake(t, s, c); sErr == nil && cErr == nil {
				t.Fatal("expired certificates were accepted")
			}
		})
	}
}

// switching is a source whose roots a test changes.
type switching struct {
	identity.Static
	pool *x509.CertPool
}

func (s *switching) Roots() (*x509.CertPool, error) {
	if s.pool != nil {
		return s.pool, nil
	}
	return s.Static.Roots()
}
