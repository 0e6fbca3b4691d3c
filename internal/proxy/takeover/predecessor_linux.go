package takeover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// predecessor is the proxy whose sockets are asked for.
type predecessor struct {
	c    *net.UnixConn
	left chan struct{} // closed when what it gave is ours alone
	mu   sync.Mutex    // one question at a time
	gone bool          // there is nobody to ask: it left, or ended by itself
}

// Ask has Listen ask the proxy that serves at path for its sockets, if there is one.
func (s *Sockets) Ask(path string) error {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: path})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	if err := sameUser(c); err != nil {
		return errors.Join(fmt.Errorf("take over from %s: %w", path, err), c.Close())
	}
	s.from = &predecessor{c: c, left: make(chan struct{})}
	return nil
}

// Taking tells whether there is a predecessor that has not left yet.
func (s *Sockets) Taking() bool { return s.from != nil }

// Take tells the predecessor that its sockets can be served here, and returns when it
// accepts no more, or when it was gone anyway. After an error it goes on serving, and
// nothing was accepted here.
func (s *Sockets) Take() error {
	p := s.from
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, _, err := p.ask(request{Ready: true})
	if err == nil && !r.Left && !p.gone {
		err = errors.New("take over: the other proxy does not say that it left")
	}
	if err == nil {
		p.gone = true
		close(p.left)
	}
	return errors.Join(err, p.c.Close())
}

// GiveUp lets the predecessor go on, unless it has left.
func (s *Sockets) GiveUp() {
	if s.from != nil {
		_ = s.from.c.Close()
	}
}

// socket asks for a socket, nil if the predecessor has none of that name.
func (p *predecessor) socket(name string) (listening, error) {
	if len(name) > maxPacket/2 {
		return nil, fmt.Errorf("take over: %d bytes of address", len(name))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, f, err := p.ask(request{Want: name})
	if err != nil || f == nil {
		return nil, err
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take over %s: %w", name, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	x, ok := l.(listening)
	if !ok || !r.Found {
		return nil, errors.Join(fmt.Errorf("take over %s: another kind of socket", name), l.Close())
	}
	return x, nil
}

// ask gives the answer and the descriptor that came with it, nothing if the predecessor
// is gone. The lock is held.
func (p *predecessor) ask(q request) (r reply, f *os.File, err error) {
	if p.gone {
		return r, nil, nil
	}
	q.Version = version
	b, err := json.Marshal(q)
	if err != nil {
		return r, nil, err
	}
	if err := p.c.SetDeadline(time.Now().Add(patience)); err != nil {
		return r, nil, err
	}
	_, sent := p.c.Write(b)
	r, f, err = p.read()
	if errors.Is(err, syscall.ECONNRESET) {
		r, f, err = p.read() // what it said last stands behind the error
	}
	switch {
	case err == nil && r.Refused != "":
		return r, f, fmt.Errorf("take over: the other proxy refuses: %s", r.Refused)
	case err == nil:
		return r, f, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return r, f, fmt.Errorf("take over: no answer: %w", errors.Join(sent, err))
	case errors.Is(err, errBad):
		return r, f, err
	}
	p.gone = true
	return reply{}, nil, nil
}

var errBad = errors.New("take over: not an answer")

// read gives a packet and the first descriptor with it.
func (p *predecessor) read() (r reply, f *os.File, err error) {
	buf, oob := make([]byte, maxPacket), make([]byte, unix.CmsgSpace(4*4))
	n, k, flags, _, err := p.c.ReadMsgUnix(buf, oob)
	if err != nil {
		return r, nil, err
	}
	cs, err := unix.ParseSocketControlMessage(oob[:k])
	if err != nil {
		return r, nil, errors.Join(errBad, err)
	}
	for _, c := range cs {
		fds, err := unix.ParseUnixRights(&c)
		if err != nil {
			continue // another kind of message
		}
		for _, fd := range fds {
			if f == nil {
				f = os.NewFile(uintptr(fd), "socket")
			} else {
				_ = unix.Close(fd)
			}
		}
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || json.Unmarshal(buf[:n], &r) != nil {
		if f != nil {
			f.Close()
		}
		return reply{}, nil, errBad
	}
	return r, f, nil
}
