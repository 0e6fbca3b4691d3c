package config

import (
	"crypto/x509"
	"encoding/pem"
	"math"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
)

// Certificates gives the certificates of all TLS contexts, as Envoy's /certs does: for
// each the first of the authority's and that which is shown. What many contexts have is
// told once. Files are read as they are now.
func (s *Store) Certificates() *adminv3.Certificates {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &adminv3.Certificates{}
	seen := map[string]bool{}
	add := func(c *tlsv3.CommonTlsContext) {
		x := s.contextCertificates(c)
		key, err := proto.MarshalOptions{Deterministic: true}.Marshal(x)
		if err != nil || len(key) == 0 || seen[string(key)] {
			return
		}
		seen[string(key)] = true
		out.Certificates = append(out.Certificates, x)
	}
	for _, n := range keys(s.listeners) {
		eachContext(s.listeners[n].body.ProtoReflect(), add)
	}
	for _, n := range keys(s.clusters) {
		eachContext(s.clusters[n].body.ProtoReflect(), add)
	}
	return out
}

func (s *Store) contextCertificates(c *tlsv3.CommonTlsContext) *adminv3.Certificate {
	out := &adminv3.Certificate{}
	for _, t := range c.GetTlsCertificates() {
		out.CertChain = append(out.CertChain, first(t.GetCertificateChain())...)
	}
	for _, n := range c.GetTlsCertificateSdsSecretConfigs() {
		out.CertChain = append(out.CertChain, first(s.secretOf(n).GetTlsCertificate().GetCertificateChain())...)
	}
	v := c.GetCombinedValidationContext()
	for _, d := range []*corev3.DataSource{
		c.GetValidationContext().GetTrustedCa(), v.GetDefaultValidationContext().GetTrustedCa(),
		s.secretOf(c.GetValidationContextSdsSecretConfig()).GetValidationContext().GetTrustedCa(),
		s.secretOf(v.GetValidationContextSdsSecretConfig()).GetValidationContext().GetTrustedCa(),
	} {
		out.CaCert = append(out.CaCert, first(d)...)
	}
	return out
}

// secretOf gives what a TLS context refers to; nil if there is nothing.
func (s *Store) secretOf(c *tlsv3.SdsSecretConfig) *tlsv3.Secret {
	if c == nil {
		return nil
	}
	k, err := proxytls.SecretKey(c)
	if err != nil {
		return nil
	}
	return s.secret(k)
}

// secret gives what came over SDS by that key, or is the proxy's own; nil if nothing.
// Of the own certificate there is no key in it.
func (s *Store) secret(key string) *tlsv3.Secret {
	if e := s.secrets[key]; e != nil {
		m := new(tlsv3.Secret)
		if strict.Unpack(e.body, m) == nil {
			return m
		}
	}
	if s.o.Own == nil {
		return nil
	}
	bytes := func(b []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
	}
	switch key {
	case proxytls.OwnCertificate:
		c, err := s.o.Own.Certificate()
		if err != nil {
			return nil
		}
		var text []byte
		for _, der := range c.Certificate {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		return &tlsv3.Secret{Name: sidecar.OwnCert, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: bytes(text), PrivateKey: bytes([]byte(Redacted))}}}
	case proxytls.OwnRoots:
		return &tlsv3.Secret{Name: sidecar.OwnRoots, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: bytes(s.o.Own.RootsPEM())}}}
	}
	return nil
}

// first gives the first certificate of a file or text, none if there is none.
func first(d *corev3.DataSource) []*adminv3.CertificateDetails {
	if d == nil {
		return nil
	}
	text, err := proxytls.Data(d)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	path := d.GetFilename()
	if path == "" {
		path = "<inline>"
	}
	days := uint64(max(0, math.Floor(time.Until(c.NotAfter).Hours()/24)))
	out := &adminv3.CertificateDetails{
		Path: path, SerialNumber: c.SerialNumber.Text(16), DaysUntilExpiration: days,
		ValidFrom: timestamppb.New(c.NotBefore), ExpirationTime: timestamppb.New(c.NotAfter),
	}
	name := func(n *adminv3.SubjectAlternateName) { out.SubjectAltNames = append(out.SubjectAltNames, n) }
	for _, x := range c.DNSNames {
		name(&adminv3.SubjectAlternateName{Name: &adminv3.SubjectAlternateName_Dns{Dns: x}})
	}
	for _, x := range c.URIs {
		name(&adminv3.SubjectAlternateName{Name: &adminv3.SubjectAlternateName_Uri{Uri: x.String()}})
	}
	for _, x := range c.IPAddresses {
		name(&adminv3.SubjectAlternateName{Name: &adminv3.SubjectAlternateName_IpAddress{IpAddress: x.String()}})
	}
	return []*adminv3.CertificateDetails{out}
}

// eachContext calls f with every TLS context in m and below.
func eachContext(m protoreflect.Message, f func(*tlsv3.CommonTlsContext)) {
	switch x := m.Interface().(type) {
	case *tlsv3.CommonTlsContext:
		f(x)
		return
	case *anypb.Any:
		if in, err := x.UnmarshalNew(); err == nil {
			eachContext(in.ProtoReflect(), f)
		}
		return
	}
	m.Range(func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case d.Message() == nil || d.IsMap() && d.MapValue().Message() == nil:
		case d.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { eachContext(v.Message(), f); return true })
		case d.IsList():
			for i := range v.List().Len() {
				eachContext(v.List().Get(i).Message(), f)
			}
		default:
			eachContext(v.Message(), f)
		}
		return true
	})
}
