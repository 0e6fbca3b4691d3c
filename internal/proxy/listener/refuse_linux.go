package listener

import (
	"errors"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// noSYN drops what begins a connection, but not what ends its handshake. A TCP
// socket's filter sees segments from their header on (RFC 9293, 3.1).
var noSYN = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 13, Size: 1},
	bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x12}, // SYN and ACK
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x02, SkipTrue: 1},
	bpf.RetConstant{Val: 1<<32 - 1},
	bpf.RetConstant{Val: 0},
}

// queued tells whether a connection waits to be accepted.
func queued(c syscall.Conn) (yes bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		yes = err == nil && n > 0
	})
	return yes && err == nil
}

// refuseNew has the kernel drop what would begin a connection, so that the queue of a
// socket can be emptied before it is closed. Who is dropped tries again, and finds the
// socket closed.
func refuseNew(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	code, err := bpf.Assemble(noSYN)
	if err != nil {
		return err
	}
	program := make([]unix.SockFilter, len(code))
	for i, x := range code {
		program[i] = unix.SockFilter{Code: x.Op, Jt: x.Jt, Jf: x.Jf, K: x.K}
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	return errors.Join(err, failed)
}
