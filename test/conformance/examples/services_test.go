package examples

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/test/harness"
)

func sorted(lines []string) string {
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// serve starts what the examples' proxies stand in front of.
func serve(t *testing.T) map[string]int {
	t.Helper()
	dir := t.TempDir()
	files(t, dir)
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "backend.pem"), filepath.Join(dir, "backend.key"))
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]int{"NOBODY": harness.FreePorts(t, 1)[0]}
	for _, name := range []string{"SERVICE1", "SERVICE2"} {
		services[name] = listen(t, func(ln net.Listener) { http.Serve(ln, echo(name)) })
	}
	for _, name := range []string{"HTTPS", "HTTPS2"} {
		services[name] = listen(t, func(ln net.Listener) {
			s := &http.Server{Handler: echo(name), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}}
			s.ServeTLS(ln, "", "")
		})
	}
	services["BYTES"] = listen(t, echoBytes)
	services["GRPC"] = listen(t, func(ln net.Listener) {
		s := grpc.NewServer()
		s.RegisterService(&keyValue, nil)
		t.Cleanup(s.Stop)
		s.Serve(ln)
	})
	services["AUTHZ"] = listen(t, func(ln net.Listener) {
		s := grpc.NewServer()
		authv3.RegisterAuthorizationServer(s, authz{})
		t.Cleanup(s.Stop)
		s.Serve(ln)
	})
	services["MIRROR"] = listen(t, func(ln net.Listener) { http.Serve(ln, http.HandlerFunc(copies)) })
	services["AUTHZ_HTTP"] = listen(t, func(ln net.Listener) {
		http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil
			w.Header().Set("x-current-user", "foo")
			if r.Header.Get("Authorization") != "Bearer foo" {
				w.WriteHeader(http.StatusForbidden)
			}
		}))
	})
	services["KEYS"] = listen(t, func(ln net.Listener) {
		http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, keySet()) }))
	})
	return services
}

// echo answers with who it is and what it got; to a websocket's handshake with every frame.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "websocket" {
			websocket(w)
			return
		}
		body, _ := io.ReadAll(r.Body)
		lines := []string{}
		for k, v := range r.Header {
			if k == "X-Request-Id" {
				v = []string{"some"}
			}
			lines = append(lines, fmt.Sprintf("got %s: %q", k, v))
		}
		for k, v := range r.Trailer {
			lines = append(lines, fmt.Sprintf("got trailer %s: %q", k, v))
		}
		w.Header()["Date"] = nil
		w.Header().Set("Content-Type", "text/plain")
		secure := ""
		if r.TLS != nil {
			secure = fmt.Sprintf(" %s sni %q", tls.VersionName(r.TLS.Version), r.TLS.ServerName)
			for _, c := range r.TLS.PeerCertificates {
				secure += " from " + c.Subject.CommonName
			}
		}
		fmt.Fprintf(w, "%s %s %s %s %s %q%s\n%s\n", name, r.Proto, r.Method, r.Host, r.RequestURI, body, secure, sorted(lines))
	})
}

// copied are the requests that the mirror was asked.
var copied = make(chan string, 100)

// copies tells what it was asked, and does not answer where the path says so.
func copies(w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	echo("MIRROR").ServeHTTP(answer, r)
	copied <- forwardedFor.ReplaceAllString(answer.Body.String(), "X-Forwarded-For: [LOCAL]")
	if strings.HasSuffix(r.URL.Path, "hang") {
		<-r.Context().Done()
		return
	}
	w.WriteHeader(http.StatusTeapot)
}

func websocket(w http.ResponseWriter) {
	nc, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer nc.Close()
	io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	io.Copy(nc, rw)
}

// echoBytes says hello and gives back what it gets.
func echoBytes(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			line, err := bufio.NewReader(nc).ReadString('\n')
			if err == nil {
				io.WriteString(nc, "bytes: "+line)
			}
		}()
	}
}

// keyValue is a service of gRPC without generated code: Get answers with what it is
// asked, and has no key "missing".
var keyValue = grpc.ServiceDesc{
	ServiceName: "kv.KV", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Get", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		key := new(wrapperspb.StringValue)
		if err := decode(key); err != nil {
			return nil, err
		}
		if key.Value == "missing" {
			return nil, status.Error(codes.NotFound, "no such key")
		}
		return wrapperspb.String("value of " + key.Value), nil
	}}},
}

// authz lets in who is called "Bearer foo", as the sandbox's does.
type authz struct {
	authv3.UnimplementedAuthorizationServer
}

func (authz) Check(_ context.Context, rq *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	if rq.GetAttributes().GetRequest().GetHttp().GetHeaders()["authorization"] != "Bearer foo" {
		return &authv3.CheckResponse{Status: status.New(codes.PermissionDenied, "").Proto()}, nil
	}
	return &authv3.CheckResponse{Status: status.New(codes.OK, "").Proto(), HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
		Headers: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-current-user", Value: "foo"}}},
	}}}, nil
}

// pki is an authority with a certificate for each name, made once.
var pki = sync.OnceValue(func() map[string][]byte {
	out := map[string][]byte{}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return k
	}
	caKey := key()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	sign := func(c *x509.Certificate, k *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &k.PublicKey, caKey)
		if err != nil {
			panic(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	out["ca.pem"] = sign(ca, caKey)
	for i, name := range []string{"front", "back", "domain1", "domain2", "backend", "other"} {
		k := key()
		out[name+".pem"] = sign(&x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name + ".example.com"},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		}, k)
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			panic(err)
		}
		out[name+".key"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return out
})

// files writes what the examples name below $DIR.
func files(t *testing.T, dir string) {
	t.Helper()
	for name, data := range pki() {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
