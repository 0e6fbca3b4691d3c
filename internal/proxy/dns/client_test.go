package dns

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// server answers over UDP by handle, with any number of messages, and over TCP by its last.
func server(t *testing.T, handle func(q dnsmessage.Message) [][]byte) netip.AddrPort {
	t.Helper()
	ln, pc := proxytest.ListenBoth(t)
	ask := func(b []byte) [][]byte {
		var q dnsmessage.Message
		if q.Unpack(b) != nil {
			return nil
		}
		return handle(q)
	}
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			for _, m := range ask(b[:n]) {
				pc.WriteTo(m, from)
			}
		}
	}()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			m, err := framed(c)
			if all := ask(m); err == nil && len(all) > 0 {
				last := all[len(all)-1]
				c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(last))), last...))
			}
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func to(t *testing.T, servers ...netip.AddrPort) *Client {
	return &Client{Servers: servers, Timeout: 5 * time.Second, Tries: 1}
}

// pack answers a question, after a change.
func pack(t *testing.T, q dnsmessage.Message, change func(*dnsmessage.Message), answers ...dnsmessage.Resource) []byte {
	return message(t, func(m *dnsmessage.Message) {
		m.ID, m.Questions = q.ID, slices.Clone(q.Questions)
		if change != nil {
			change(m)
		}
	}, answers...)
}

// TestOthersAnswers: messages that do not answer the question neither answer it nor keep the
// answer from being heard.
func TestOthersAnswers(t *testing.T) {
	wrong := a("a.test.", "192.0.2.66", 60)
	at := server(t, func(q dnsmessage.Message) [][]byte {
		return [][]byte{
			nil, []byte("nonsense"), make([]byte, 4096),
			pack(t, q, func(m *dnsmessage.Message) { m.ID++ }, wrong),
			pack(t, q, func(m *dnsmessage.Message) { m.Response = false }, wrong),
			pack(t, q, func(m *dnsmessage.Message) { m.Questions[0].Name = nameOf("b.test.") }, wrong),
			pack(t, q, func(m *dnsmessage.Message) { m.ID++; m.RCode = dnsmessage.RCodeNameError }),
			pack(t, q, func(m *dnsmessage.Message) { m.Questions, m.RCode = nil, dnsmessage.RCodeNameError }),
			pack(t, q, func(m *dnsmessage.Message) { m.Questions = nil }, wrong),
			pack(t, q, nil, a("a.test.", "192.0.2.1", 60)),
		}
	})
	got, err := to(t, at).Lookup(t.Context(), "a.test", false)
	if err != nil || show(got) != "[192.0.2.1 1m0s]" {
		t.Errorf("%s, %v", show(got), err)
	}
}

// TestTruncated: an answer that UDP has no room for is had by TCP, and is not believed if it
// is truncated there, too.
func TestTruncated(t *testing.T) {
	var asked atomic.Int64
	var always atomic.Bool
	at := server(t, func(q dnsmessage.Message) [][]byte {
		if asked.Add(1) == 1 || always.Load() {
			return [][]byte{pack(t, q, func(m *dnsmessage.Message) { m.Truncated = true }, a("a.test.", "192.0.2.66", 1))}
		}
		return [][]byte{pack(t, q, nil, a("a.test.", "192.0.2.1", 60), a("a.test.", "192.0.2.2", 60))}
	})
	got, err := to(t, at).Lookup(t.Context(), "a.test", false)
	if err != nil || show(got) != "[192.0.2.1 1m0s 192.0.2.2 1m0s]" {
		t.Errorf("%s, %v", show(got), err)
	}
	always.Store(true)
	if got, err = to(t, at).Lookup(t.Context(), "a.test", false); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("always truncated: %s, %v", show(got), err)
	}
}

// TestWithoutEDNS: a server that does not know EDNS is asked without it, however it says that it
// does not understand; one that never understands is asked but once more.
func TestWithoutEDNS(t *testing.T) {
	for name, bare := range map[string]bool{"it says the question": false, "it says none": true} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			var never atomic.Bool
			at := server(t, func(q dnsmessage.Message) [][]byte {
				asked.Add(1)
				if len(q.Additionals) > 0 || never.Load() {
					return [][]byte{pack(t, q, func(m *dnsmessage.Message) {
						if m.RCode = dnsmessage.RCodeFormatError; bare {
							m.Questions = nil
						}
					})}
				}
				return [][]byte{pack(t, q, nil, a("a.test.", "192.0.2.1", 60))}
			})
			for _, tcp := range []bool{false, true} {
				asked.Store(0)
				never.Store(false)
				c := to(t, at)
				c.TCP = tcp
				if got, err := c.Lookup(t.Context(), "a.test", false); err != nil || show(got) != "[192.0.2.1 1m0s]" || asked.Load() != 2 {
					t.Errorf("over TCP %v: %s, %v, asked %d times", tcp, show(got), err, asked.Load())
				}
				never.Store(true)
				if got, err := c.Lookup(t.Context(), "a.test", false); err == nil || errors.Is(err, ErrNone) || asked.Load() != 4 {
					t.Errorf("over TCP %v, never: %s, %v, asked %d times", tcp, show(got), err, asked.Load())
				}
			}
		})
	}
}

// TestServers: what a server cannot tell the next one is asked for, what it says that there
// is not is believed.
func TestServers(t *testing.T) {
	var first, second atomic.Int64
	fails := server(t, func(q dnsmessage.Message) [][]byte {
		first.Add(1)
		return [][]byte{pack(t, q, func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure })}
	})
	knows := server(t, func(q dnsmessage.Message) [][]byte {
		second.Add(1)
		if q.Questions[0].Name.String() != "a.test." {
			return [][]byte{pack(t, q, func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError })}
		}
		return [][]byte{pack(t, q, nil, a("a.test.", "192.0.2.1", 60), a("a.test.", "2001:db8::1", 60))}
	})
	c := to(t, fails, knows)
	if _, err := c.Lookup(t.Context(), "a.test", false); err == nil || errors.Is(err, ErrNone) || second.Load() != 0 {
		t.Errorf("one try: %v, %d at the second server", err, second.Load())
	}
	c.Tries = 2
	if got, err := c.Lookup(t.Context(), "a.test", false); err != nil || len(got) == 0 {
		t.Errorf("two tries: %s, %v", show(got), err)
	}
	first.Store(0)
	c.Servers = []netip.AddrPort{knows, fails}
	if _, err := c.Lookup(t.Context(), "b.test", false); !errors.Is(err, ErrNone) || first.Load() != 0 {
		t.Errorf("not there: %v, %d at the next server", err, first.Load())
	}
	c.Search = Search{Domains: []string{"test"}, Dots: 1}
	if got, err := c.Lookup(t.Context(), "a", false); err != nil || len(got) == 0 {
		t.Errorf("completed: %s, %v", show(got), err)
	}
	c.Servers, c.Rotate, c.Tries = []netip.AddrPort{fails, knows}, true, 1
	failed := 0
	for range 4 {
		if _, err := c.Lookup(t.Context(), "a.test", false); err != nil {
			failed++
		}
	}
	if failed != 2 {
		t.Errorf("in rotation %d of 4 fail, want 2", failed)
	}
}

// TestHostsFile: names of this machine's own file are not asked for elsewhere.
func TestHostsFile(t *testing.T) {
	at := server(t, func(q dnsmessage.Message) [][]byte {
		return [][]byte{pack(t, q, nil, a("localhost.", "192.0.2.66", 60))}
	})
	got, err := to(t, at).Lookup(t.Context(), "localhost", false)
	if err != nil || len(got) != 1 || !got[0].IsLoopback() {
		t.Errorf("%s, %v", show(got), err)
	}
}

func TestSystem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# c\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver x\nnameserver\nsearch a.test. b.test .\noptions edns0 ndots:99 timeout:1\n"
	for range 20 {
		text += "nameserver 192.0.2.2\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	servers, s := System(file)
	if len(servers) != maxServers || servers[0].String() != "192.0.2.1:53" || servers[1].Addr().Zone() != "eth0" || !slices.Equal(s.Domains, []string{"a.test", "b.test"}) || s.Dots != 15 {
		t.Errorf("%v %+v", servers, s)
	}
	if servers, s = System(file + "x"); servers != nil || s.Dots != 1 {
		t.Errorf("without a file: %v %+v", servers, s)
	}
}
