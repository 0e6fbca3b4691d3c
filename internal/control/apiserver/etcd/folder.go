package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// privateDir makes d with mode 0700, or takes away what others may do there.
func privateDir(d string) error {
	if err := os.MkdirAll(d, 0o700); err != nil {
		return err
	}
	fi, err := os.Stat(d)
	if err != nil {
		return err
	}
	if fi.Mode().Perm() == 0o700 {
		return nil
	}
	if err := os.Chmod(d, 0o700); err != nil {
		return fmt.Errorf("%s: not this user's own folder: %w", d, err)
	}
	return nil
}

// lockName is ours: etcd's own lock waits for ever, deaf to signals.
const lockName = "usher.lock"

func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("etcd: %s: in use by another process (%s is locked)", dir, lockName)
	}
	return nil, fmt.Errorf("etcd: %s: %w", dir, err)
}

// checkBackend reads the whole of etcd's database once, because etcd itself meets a
// damaged page with a panic, or a page fault, in a goroutine where nobody can catch
// it. The database is a few MB; this takes milliseconds.
func checkBackend(dir string) (err error) {
	path := filepath.Join(dir, "member", "snap", "db")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil // a first start
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged(dir, fmt.Sprint(r))
		}
	}()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return unopened(dir, err)
	}
	defer db.Close()
	return db.View(func(tx *bolt.Tx) error {
		fi, err := os.Stat(path)
		if err != nil {
			return unopened(dir, err)
		}
		if fi.Size() < tx.Size() {
			return damaged(dir, fmt.Sprintf("the database ends after %d of %d bytes", fi.Size(), tx.Size()))
		}
		// First a walk of our own: Check's panics on its way to the free list are in
		// a goroutine too.
		err = tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error { return nil })
		})
		if err != nil {
			return damaged(dir, err.Error())
		}
		for err := range tx.Check() {
			return damaged(dir, err.Error())
		}
		return checkLog(dir, tx)
	})
}

// checkLog refuses a database in use whose write-ahead log is gone: etcd would begin
// a new log and ignore every entry of it up to the number that the database has.
func checkLog(dir string, tx *bolt.Tx) error {
	logs, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
	if err != nil || len(logs) > 0 {
		return err
	}
	meta := tx.Bucket([]byte("meta"))
	if meta == nil {
		return nil // killed during the first start
	}
	if index := meta.Get([]byte("consistent_index")); len(index) == 8 && binary.BigEndian.Uint64(index) > 0 {
		return damaged(dir, "the write-ahead log is gone")
	}
	return nil
}

// unopened tells what the system refused (descriptors, memory, permission) from what
// the file holds.
func unopened(dir string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("etcd: the data in %s cannot be read: %w", dir, err)
	}
	return damaged(dir, err.Error())
}

func damaged(dir, why string) error {
	return fmt.Errorf("etcd: the data in %s is damaged: %s", dir, why)
}
