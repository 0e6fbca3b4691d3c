//go:build race

package app

// raced tells that the race detector is on, under which pools lose some of what they hold.
const raced = true
