package http1

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// turns lets connections go first that can go on, where all share one processor.
//
// The scheduler looks for connections that have become readable when nothing else can
// run. While some give way to each other that is never so, and the others would wait
// until the runtime's monitor looks for them, 10 ms later. So everybody who gives way
// stops now and then, until the scheduler has looked and found what one of them wrote
// into a pipe.
type turns struct {
	given atomic.Int32 // since the scheduler looked last

	mu     sync.Mutex
	looked sync.Cond
	r, w   *os.File // nil: there is no pipe, and nobody stops
	bell   [1]byte
}

// beforeLook is how often is given way until the scheduler has to look: a stop costs
// each connection more than giving way does.
const beforeLook = 256

var turn = sync.OnceValue(func() *turns {
	t := new(turns)
	t.looked.L = &t.mu
	var err error
	if t.r, t.w, err = os.Pipe(); err == nil {
		go t.serve()
	}
	return t
})

// give lets others go first.
func (t *turns) give() {
	n := t.given.Add(1)
	if n < beforeLook || t.w == nil {
		runtime.Gosched()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.given.Load() < beforeLook {
		return
	}
	if n == beforeLook { // one does
		if _, err := t.w.Write(t.bell[:]); err != nil {
			t.given.Store(0)
			t.looked.Broadcast()
			return
		}
	}
	t.looked.Wait()
}

// serve lets those go on who have stopped.
func (t *turns) serve() {
	var rung [1]byte
	for {
		if _, err := t.r.Read(rung[:]); err != nil {
			return
		}
		t.mu.Lock()
		t.given.Store(0)
		t.looked.Broadcast()
		t.mu.Unlock()
	}
}
