package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func nameOf(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }

func question4(name string) dnsmessage.Question {
	return dnsmessage.Question{Name: nameOf(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
}

func a(name, addr string, ttl uint32) dnsmessage.Resource {
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: nameOf(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: ttl}}
	ip := netip.MustParseAddr(addr)
	if r.Body = (&dnsmessage.AResource{A: [4]byte(ip.AsSlice())}); ip.Is6() {
		r.Header.Type, r.Body = dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: ip.As16()}
	}
	return r
}

func cname(name, to string, ttl uint32) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: nameOf(name), Type: dnsmessage.TypeCNAME, Class: dnsmessage.ClassINET, TTL: ttl},
		Body: &dnsmessage.CNAMEResource{CNAME: nameOf(to)}}
}

// message answers question4("a.test.") with the ID 7.
func message(t testing.TB, change func(*dnsmessage.Message), answers ...dnsmessage.Resource) []byte {
	t.Helper()
	m := &dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true}, Questions: []dnsmessage.Question{question4("a.test.")}, Answers: answers}
	if change != nil {
		change(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	chain := func(n int) (out []dnsmessage.Resource) {
		from := "a.test."
		for i := range n {
			to := fmt.Sprintf("n%d.test.", i)
			out = append(out, cname(from, to, 9))
			from = to
		}
		return append(out, a(from, "192.0.2.1", 9))
	}
	one := a("a.test.", "192.0.2.1", 60)
	other := one
	other.Header.Class = dnsmessage.ClassCHAOS
	for _, tt := range []struct {
		name   string
		change func(*dnsmessage.Message)
		in     []dnsmessage.Resource
		want   string
	}{
		{"one", nil, []dnsmessage.Resource{one}, "[192.0.2.1 1m0s]"},
		{"in order", nil, []dnsmessage.Resource{a("a.test.", "192.0.2.9", 5), one}, "[192.0.2.9 5s 192.0.2.1 1m0s]"},
		{"in other letters", nil, []dnsmessage.Resource{a("A.tEst.", "192.0.2.1", 5)}, "[192.0.2.1 5s]"},
		{"by an alias", nil, []dnsmessage.Resource{cname("a.test.", "b.test.", 3), a("b.test.", "192.0.2.1", 5)}, "[192.0.2.1 3s]"},
		{"the alias stands last", nil, []dnsmessage.Resource{a("b.test.", "192.0.2.1", 2), cname("a.test.", "B.test.", 3)}, "[192.0.2.1 2s]"},
		{"another name's", nil, []dnsmessage.Resource{a("b.test.", "192.0.2.1", 5)}, ErrNone.Error()},
		{"of another class", nil, []dnsmessage.Resource{other}, ErrNone.Error()},
		{"of another kind", nil, []dnsmessage.Resource{a("a.test.", "2001:db8::1", 5)}, ErrNone.Error()},
		{"of another kind, too", nil, []dnsmessage.Resource{a("a.test.", "2001:db8::1", 5), one}, "[192.0.2.1 1m0s]"},
		{"an alias of itself", nil, []dnsmessage.Resource{cname("a.test.", "a.test.", 3)}, ErrNone.Error()},
		{"aliases in a ring", nil, []dnsmessage.Resource{cname("a.test.", "b.test.", 3), cname("b.test.", "a.test.", 3)}, ErrNone.Error()},
		{"many aliases", nil, chain(maxAliases - 1), "[192.0.2.1 9s]"},
		{"too many aliases", nil, chain(maxAliases), ErrNone.Error()},
		{"an alias to nowhere", nil, []dnsmessage.Resource{cname("a.test.", "b.test.", 3)}, ErrNone.Error()},
		{"beside the answer", func(m *dnsmessage.Message) { m.Answers, m.Additionals = nil, []dnsmessage.Resource{one} }, nil, ErrNone.Error()},
		{"for ever", nil, []dnsmessage.Resource{a("a.test.", "192.0.2.1", 1<<31-1)}, "[192.0.2.1 24h0m0s]"},
		{"a time that is none", nil, []dnsmessage.Resource{a("a.test.", "192.0.2.1", 1<<31)}, "[192.0.2.1 0s]"},
		{"none", nil, nil, ErrNone.Error()},
		{"not there", func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError }, nil, ErrNone.Error()},
		{"a failure", func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure }, []dnsmessage.Resource{one}, "the server says ServerFailure"},
		{"another ID", func(m *dnsmessage.Message) { m.ID = 8 }, []dnsmessage.Resource{one}, errOther.Error()},
		{"a question", func(m *dnsmessage.Message) { m.Response = false }, []dnsmessage.Resource{one}, errOther.Error()},
		{"another kind of message", func(m *dnsmessage.Message) { m.OpCode = 4 }, []dnsmessage.Resource{one}, errOther.Error()},
		{"to another question", func(m *dnsmessage.Message) { m.Questions[0].Name = nameOf("b.test.") }, []dnsmessage.Resource{one}, errOther.Error()},
		{"to one of another type", func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeAAAA }, []dnsmessage.Resource{one}, errOther.Error()},
		{"to none", func(m *dnsmessage.Message) { m.Questions = nil }, []dnsmessage.Resource{one}, errOther.Error()},
		{"truncated", func(m *dnsmessage.Message) { m.Truncated = true }, []dnsmessage.Resource{one}, "truncated"},
	} {
		got := ""
		switch x, err := parse(message(t, tt.change, tt.in...), 7, question4("a.test.")); {
		case err != nil:
			got = err.Error()
		case x.truncated:
			got = "truncated"
		default:
			got = show(x.addrs)
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func show(list []Address) string {
	var parts []string
	for _, x := range list {
		parts = append(parts, x.String()+" "+x.TTL.String())
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// TestHugeAnswer: what is kept of an answer is bounded.
func TestHugeAnswer(t *testing.T) {
	var all []dnsmessage.Resource
	for i := range 3000 {
		all = append(all, a("a.test.", netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), 1))
	}
	x, err := parse(message(t, nil, all...), 7, question4("a.test."))
	if err != nil || len(x.addrs) != maxAddresses {
		t.Errorf("%d addresses, %v", len(x.addrs), err)
	}
}

// TestCutAnswer: no part of a message passes for all of it.
func TestCutAnswer(t *testing.T) {
	b := message(t, nil, cname("a.test.", "b.test.", 3), a("b.test.", "192.0.2.1", 5))
	for n := range b {
		if x, err := parse(b[:n], 7, question4("a.test.")); err == nil {
			t.Errorf("%d of %d bytes: %v", n, len(b), x)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(message(f, nil, cname("a.test.", "b.test.", 3), a("b.test.", "192.0.2.1", 5), a("b.test.", "2001:db8::1", 5)))
	f.Add(message(f, func(m *dnsmessage.Message) { m.Truncated = true }))
	f.Add([]byte("\x00\x07\x80\x00\x00\x01\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x01\x00\x02\xc0\x0c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parse(b, 7, question4("a.test."))
		if err != nil && len(x.addrs) > 0 || err == nil && !x.truncated && len(x.addrs) == 0 {
			t.Errorf("%v and %v", x, err)
		}
		if len(x.addrs) > maxAddresses {
			t.Errorf("%d addresses", len(x.addrs))
		}
		for _, one := range x.addrs {
			if one.TTL < 0 || one.TTL > maxTTL || !one.IsValid() {
				t.Errorf("%v %s", one, one.TTL)
			}
		}
		if errors.Is(err, ErrNone) && len(b) < 12 {
			t.Error("no answer says that there is no address")
		}
	})
}

func TestNames(t *testing.T) {
	s := Search{Domains: []string{"x.org", "y"}, Dots: 2}
	for name, want := range map[string]string{
		"a.":    "[a.]",
		"a":     "[a.x.org. a.y. a.]",
		"a.b":   "[a.b.x.org. a.b.y. a.b.]",
		"a.b.c": "[a.b.c. a.b.c.x.org. a.b.c.y.]",
	} {
		if got := fmt.Sprint(s.names(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
