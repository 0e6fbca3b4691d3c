package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	maxUDP       = 1232 // bytes of an answer over UDP that servers are told to keep to
	maxAddresses = 512  // of an answer, the rest is left out
	maxAliases   = 16   // CNAMEs one after the other
	maxTTL       = 24 * time.Hour
)

// answer is what a server has said of a question.
type answer struct {
	addrs     []Address
	truncated bool
}

// says is what a server answers that cannot tell.
type says dnsmessage.RCode

func (s says) Error() string {
	return "the server says " + strings.TrimPrefix(dnsmessage.RCode(s).String(), "RCode")
}

// exchange asks one question, once more without EDNS if the server does not understand it: as
// one does that does not know EDNS (RFC 6891, section 7).
func exchange(ctx context.Context, network string, server netip.AddrPort, q dnsmessage.Question) (answer, error) {
	a, err := exchangeOnce(ctx, network, server, q, true)
	if err == says(dnsmessage.RCodeFormatError) {
		a, err = exchangeOnce(ctx, network, server, q, false)
	}
	return a, err
}

// exchangeOnce asks by one message. Whatever does not answer it is passed over: over UDP anybody
// may send, and is not to end the waiting for the server.
func exchangeOnce(ctx context.Context, network string, server netip.AddrPort, q dnsmessage.Question, edns bool) (answer, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, server.String())
	if err != nil {
		return answer{}, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	id := uint16(rand.Uint32())
	b, err := question(id, q, edns, network == "tcp")
	if err != nil {
		return answer{}, err
	}
	if _, err := nc.Write(b); err != nil {
		return answer{}, err
	}
	buffer := make([]byte, 4<<10)
	for {
		var m []byte
		if network == "tcp" {
			m, err = framed(nc)
		} else {
			var n int
			n, err = nc.Read(buffer)
			m = buffer[:n]
		}
		if err != nil {
			return answer{}, err
		}
		a, err := parse(m, id, q)
		if err != errOther {
			return a, err
		}
		if network == "tcp" {
			return answer{}, err
		}
	}
}

// question is a message that asks; framed as over TCP if that is wanted.
func question(id uint16, q dnsmessage.Question, edns, frame bool) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 2, 514), dnsmessage.Header{ID: id, RecursionDesired: true})
	b.EnableCompression()
	err := errors.Join(b.StartQuestions(), b.Question(q))
	if edns {
		var opt dnsmessage.ResourceHeader
		err = errors.Join(err, b.StartAdditionals(), opt.SetEDNS0(maxUDP, dnsmessage.RCodeSuccess, false), b.OPTResource(opt, dnsmessage.OPTResource{}))
	}
	if err != nil {
		return nil, err
	}
	m, err := b.Finish()
	if err != nil {
		return nil, err
	}
	if !frame {
		return m[2:], nil
	}
	binary.BigEndian.PutUint16(m, uint16(len(m)-2))
	return m, nil
}

func framed(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, m)
	return m, err
}

// errOther is a message that is no answer to the question.
var errOther = errors.New("not an answer to the question")

// parse reads the answer to a question. The addresses are those of the name, and of where
// its aliases lead, in the answer alone.
func parse(m []byte, id uint16, q dnsmessage.Question) (answer, error) {
	var p dnsmessage.Parser
	h, err := p.Start(m)
	if err != nil || h.ID != id || !h.Response || h.OpCode != 0 {
		return answer{}, errOther
	}
	told := h.RCode == dnsmessage.RCodeSuccess || h.RCode == dnsmessage.RCodeNameError
	asked, err := p.Question()
	if err == dnsmessage.ErrSectionDone && !told {
		return answer{}, says(h.RCode) // who has not understood the question cannot say it again
	}
	if err != nil || asked.Type != q.Type || asked.Class != q.Class || !same(asked.Name, q.Name) {
		return answer{}, errOther
	}
	if err := p.SkipAllQuestions(); err != nil {
		return answer{}, errOther
	}
	if !told {
		return answer{}, says(h.RCode)
	}
	if h.Truncated {
		return answer{truncated: true}, nil
	}
	r, err := read(&p, q.Type)
	if err != nil {
		return answer{}, fmt.Errorf("the answer is malformed: %w", err)
	}
	addrs := r.follow(q.Name)
	if len(addrs) == 0 {
		return answer{}, ErrNone
	}
	return answer{addrs: addrs}, nil
}

// records are those of an answer that are wanted, by the name that they are of.
type records struct {
	addrs   map[string][]Address
	aliases map[string]alias
}

type alias struct {
	to  string
	ttl time.Duration
}

func read(p *dnsmessage.Parser, wanted dnsmessage.Type) (records, error) {
	r := records{map[string][]Address{}, map[string]alias{}}
	for n := 0; ; {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		name, ttl := key(h.Name), min(time.Duration(h.TTL)*time.Second, maxTTL)
		if h.TTL > 1<<31-1 { // none, by RFC 2181
			ttl = 0
		}
		var addr netip.Addr
		switch {
		case h.Class != dnsmessage.ClassINET || h.Type != wanted && h.Type != dnsmessage.TypeCNAME:
			err = p.SkipAnswer()
		case h.Type == dnsmessage.TypeA:
			var a dnsmessage.AResource
			a, err = p.AResource()
			addr = netip.AddrFrom4(a.A)
		case h.Type == dnsmessage.TypeAAAA:
			var a dnsmessage.AAAAResource
			a, err = p.AAAAResource()
			addr = netip.AddrFrom16(a.AAAA)
		default:
			var a dnsmessage.CNAMEResource
			a, err = p.CNAMEResource()
			r.aliases[name] = alias{key(a.CNAME), ttl}
		}
		if err != nil {
			return r, err
		}
		if n++; addr.IsValid() && n <= maxAddresses {
			r.addrs[name] = append(r.addrs[name], Address{addr, ttl})
		}
	}
}

// follow gives the addresses of a name. They hold no longer than the aliases that led there.
func (r records) follow(of dnsmessage.Name) []Address {
	name, least := key(of), maxTTL
	for range maxAliases {
		if addrs := r.addrs[name]; len(addrs) > 0 {
			for i := range addrs {
				addrs[i].TTL = min(addrs[i].TTL, least)
			}
			return addrs
		}
		a, ok := r.aliases[name]
		if !ok {
			break
		}
		name, least = a.to, min(least, a.ttl)
	}
	return nil
}

func key(n dnsmessage.Name) string { return strings.ToLower(n.String()) }

func same(a, b dnsmessage.Name) bool { return key(a) == key(b) }
