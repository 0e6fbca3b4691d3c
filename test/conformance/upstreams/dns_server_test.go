package upstreams

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// dnsServer answers on one port of 127.0.0.1 over UDP and TCP.
type dnsServer struct {
	port int

	mu    sync.Mutex
	zone  map[string]zoned // by name, with its dot
	asked map[string]int   // by name
}

// zoned is what a name has.
type zoned struct {
	addrs     []string
	alias     string // CNAME
	ttl       uint32
	code      dnsmessage.RCode
	truncated bool // over UDP
}

func serveDNS(t *testing.T) *dnsServer {
	t.Helper()
	s := &dnsServer{zone: map[string]zoned{}, asked: map[string]int{}}
	ln, pc := proxytest.ListenBoth(t)
	s.port = ln.Addr().(*net.TCPAddr).Port
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			if a := s.answer(b[:n], true); a != nil {
				pc.WriteTo(a, from)
			}
		}
	}()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					var size [2]byte
					if _, err := io.ReadFull(c, size[:]); err != nil {
						return
					}
					b := make([]byte, binary.BigEndian.Uint16(size[:]))
					if _, err := io.ReadFull(c, b); err != nil {
						return
					}
					a := s.answer(b, false)
					c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
				}
			}()
		}
	}()
	return s
}

func (s *dnsServer) set(name string, z zoned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone[name] = z
}

// count tells how often a name was asked for.
func (s *dnsServer) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name]
}

func (s *dnsServer) answer(b []byte, udp bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(b) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[q.Name.String()]++
	z, ok := s.zone[q.Name.String()]
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}, Questions: m.Questions}
	switch {
	case !ok:
		out.RCode = dnsmessage.RCodeNameError
	case z.code != 0:
		out.RCode = z.code
	case udp && z.truncated:
		out.Truncated = true
	default:
		name := q.Name
		if z.alias != "" {
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeCNAME, Class: dnsmessage.ClassINET, TTL: z.ttl},
				Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(z.alias)}})
			name, z = dnsmessage.MustNewName(z.alias), s.zone[z.alias]
		}
		for _, text := range z.addrs {
			a := netip.MustParseAddr(text)
			r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: z.ttl}}
			if a.Is4() {
				r.Header.Type, r.Body = dnsmessage.TypeA, &dnsmessage.AResource{A: a.As4()}
			} else {
				r.Header.Type, r.Body = dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: a.As16()}
			}
			if r.Header.Type == q.Type {
				out.Answers = append(out.Answers, r)
			}
		}
	}
	packed, err := out.Pack()
	if err != nil {
		return nil
	}
	return packed
}
