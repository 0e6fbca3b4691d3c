package listener

import "sync/atomic"

// Gate bounds the open connections of all listeners that share it.
type Gate struct {
	Max  int
	open atomic.Int64
}

// enter counts a connection in, unless there are as many as may be. A nil gate is open.
func (g *Gate) enter() bool {
	if g == nil {
		return true
	}
	if g.open.Add(1) > int64(g.Max) {
		g.leave()
		return false
	}
	return true
}

func (g *Gate) leave() {
	if g != nil {
		g.open.Add(-1)
	}
}
