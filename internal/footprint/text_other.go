//go:build !linux

package footprint

func dropText() {}

// Resident gives the process's resident memory in bytes, 0 if it is not known.
func Resident() uint64 { return 0 }
