//go:build !linux

package deadline

// closing: an end that stands behind unread bytes is not seen.
func closing(int) (ended, done bool) { return false, true }
