package filewatch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
)

// kernel is an instance of inotify(7), which alone tells a move from a file that is created
// in place.
type kernel struct {
	f    *os.File
	done chan struct{}
}

func open() (*kernel, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return &kernel{os.NewFile(uintptr(fd), "inotify"), make(chan struct{})}, nil
}

// watch begins to watch a folder, if it is not watched yet, and gives its number.
func (k *kernel) watch(path string) (id int, err error) {
	err = k.do(func(fd int) (err error) {
		id, err = syscall.InotifyAddWatch(fd, path, syscall.IN_MOVED_TO|syscall.IN_MOVE_SELF|syscall.IN_ONLYDIR)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("inotify: %s: %w", path, err)
	}
	return id, nil
}

func (k *kernel) unwatch(id int) {
	_ = k.do(func(fd int) error { // it fails only if the folder is gone
		_, err := syscall.InotifyRmWatch(fd, uint32(id))
		return err
	})
}

func (k *kernel) do(f func(fd int) error) error {
	c, err := k.f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := c.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// read hands over what happens until close.
func (k *kernel) read(happened func(event)) {
	defer close(k.done)
	buf := make([]byte, 16<<10)
	for {
		n, err := k.f.Read(buf)
		if err != nil {
			return // closed; nothing else fails
		}
		for b := buf[:n]; len(b) >= syscall.SizeofInotifyEvent; {
			id, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
			size := syscall.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			name, _, _ := bytes.Cut(b[syscall.SizeofInotifyEvent:size], []byte{0})
			happened(event{int(id), string(name), mask&syscall.IN_Q_OVERFLOW != 0, mask&(syscall.IN_IGNORED|syscall.IN_MOVE_SELF) != 0})
			b = b[size:]
		}
	}
}

func (k *kernel) close() error {
	err := k.f.Close()
	<-k.done
	return err
}
