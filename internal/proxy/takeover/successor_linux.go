package takeover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// successors serves those who want to take over.
type successors struct {
	s    *Sockets
	log  *slog.Logger
	left func()
	busy atomic.Bool // one takes over, or has
}

// Serve lets one proxy at a time take over at path, until one has: left is called then.
// Its own socket is passed on, too.
func (s *Sockets) Serve(path string, log *slog.Logger, left func()) (io.Closer, error) {
	l, err := s.Listen("unixpacket", path)
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	v := &successors{s: s, log: log, left: left}
	go func() {
		for {
			c, err := l.Accept()
			if err == nil {
				v.accept(c.(*net.UnixConn))
				continue
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			log.Warn("cannot accept a successor", "error", err)
			time.Sleep(time.Second) // too many open files
		}
	}()
	return l, nil
}

// accept begins with who came first, and lets others go.
func (v *successors) accept(c *net.UnixConn) {
	if err := sameUser(c); err != nil {
		v.log.Warn("a successor is refused", "error", err)
		_ = c.Close()
		return
	}
	if !v.busy.CompareAndSwap(false, true) {
		v.refuse(c, errors.New("another proxy takes over"))
		_ = c.Close()
		return
	}
	go v.serve(c)
}

func (v *successors) serve(c *net.UnixConn) {
	defer c.Close()
	if err := v.hand(c); err != nil {
		v.s.keep()
		v.busy.Store(false)
		v.refuse(c, err)
		return
	}
	v.log.Info("another proxy took over")
	v.left()
}

// refuse lets a successor go, and says why if it still listens.
func (v *successors) refuse(c *net.UnixConn, why error) {
	v.log.Warn("a successor is let go", "error", why)
	_ = v.answer(c, reply{Refused: why.Error()}, nil)
}

// hand answers one successor until it is ready, and leaves it what it asked for.
func (v *successors) hand(c *net.UnixConn) error {
	until := time.Now().Add(ReadyWithin)
	buf := make([]byte, maxPacket+1)
	for asked := range maxWanted {
		wait := until
		if asked == 0 {
			wait = time.Now().Add(patience)
		}
		if err := c.SetReadDeadline(wait); err != nil {
			return err
		}
		// Descriptors that come with it are not received, so that the kernel closes them.
		n, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("it was not ready in time")
		}
		if err != nil {
			return fmt.Errorf("it went: %w", err)
		}
		var q request
		if n > maxPacket || json.Unmarshal(buf[:n], &q) != nil {
			return errors.New("not a request")
		}
		switch {
		case q.Version != version:
			return fmt.Errorf("version %d: want %d", q.Version, version)
		case q.Ready:
			if err := v.s.leave(); err != nil {
				v.log.Warn("a socket that is another proxy's now", "error", err)
			}
			if err := v.answer(c, reply{Left: true}, nil); err != nil {
				v.log.Warn("the successor is not told", "error", err) // it sees our end
			}
			return nil
		case q.Want == "":
			return errors.New("a request for nothing")
		}
		lent := v.s.lend(q.Want)
		if err := v.answer(c, reply{Found: lent != nil}, lent); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d sockets", maxWanted)
}

// answer sends a reply, and a socket with it unless it is nil.
func (v *successors) answer(c *net.UnixConn, r reply, with syscall.Conn) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if with == nil {
		_, err := c.Write(b)
		return err
	}
	raw, err := with.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		_, _, failed = c.WriteMsgUnix(b, unix.UnixRights(int(fd)), nil)
	})
	return errors.Join(err, failed)
}

// sameUser refuses a peer that does not run as our user.
func sameUser(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	if int64(cred.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("user %d is not %d", cred.Uid, os.Geteuid())
	}
	return nil
}
