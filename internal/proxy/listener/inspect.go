package listener

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/netconn"
)

// prefixed is a connection of which some bytes were read already.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// NetConn gives the connection itself.
func (p *prefixed) NetConn() net.Conn { return p.Conn }

// CloseWrite passes the half-close on.
func (p *prefixed) CloseWrite() error { return netconn.CloseWrite(p.Conn) }

// maxHello bounds a ClientHello with its records.
const maxHello = 64 << 10

// inspection is what the first bytes told.
type inspection struct {
	transport string
	sni       string
	alpn      []string
	first     []byte
}

// inspect reads as much of the connection as it takes to tell TLS from plaintext
// and, with hello, the names in the ClientHello. Everything read is in first.
func inspect(c net.Conn, hello bool, timeout time.Duration) (inspection, error) {
	c.SetReadDeadline(time.Now().Add(timeout))
	defer c.SetReadDeadline(time.Time{})
	buf := make([]byte, 1024)
	n, err := c.Read(buf)
	if n == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		return inspection{}, err
	}
	in := inspection{transport: "raw_buffer", first: buf[:n]}
	if buf[0] != 0x16 { // TLS record of type handshake
		return in, nil
	}
	in.transport = "tls"
	if !hello {
		return in, nil
	}
	r := &recorder{Conn: c, first: bytes.Clone(in.first)}
	r.all = append(r.all, in.first...)
	err = tls.Server(r, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		in.sni, in.alpn = strings.ToLower(h.ServerName), append([]string(nil), h.SupportedProtos...)
		return nil, errSeen
	}}).Handshake()
	in.first = r.all
	if errors.Is(err, errSeen) {
		return in, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return in, err
	}
	return in, errors.New("not a ClientHello")
}

var errSeen = errors.New("seen")

// recorder lets crypto/tls parse a ClientHello without an answer going out.
type recorder struct {
	net.Conn
	first []byte
	all   []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(b, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	if len(r.all) > maxHello {
		return 0, errors.New("ClientHello too large")
	}
	n, err := r.Conn.Read(b)
	r.all = append(r.all, b[:n]...)
	return n, err
}

// Write drops the alert that ends the parse.
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

// Close does nothing: the connection goes on.
func (r *recorder) Close() error { return nil }
