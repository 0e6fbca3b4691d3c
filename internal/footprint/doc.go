// Package footprint keeps the resident memory of small, long-lived processes
// small. It knows the Go runtime and the kernel, and nothing of what the process does.
package footprint

import "runtime/debug"

// Trim gives back what only the start needed: free heap, and the pages of the
// program's own file, which the kernel maps again when they are touched. Of a
// program that is mostly start code (package initialisation, descriptors) that
// is most of the resident memory.
func Trim() {
	debug.FreeOSMemory()
	dropText()
}
