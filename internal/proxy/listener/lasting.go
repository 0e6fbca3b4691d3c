package listener

import (
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// lasting watches over a connection that goes on without further requests: an
// upgrade, a tunnel, a TCP proxy's. What let it in is asked again when the
// configuration, the keys or the roots change and when the answer runs out; it
// ends once the answer is no. It takes a goroutine only while it asks.
type lasting struct {
	judge func() (until time.Time, ok bool) // zero time: no bound
	end   func()                            // must make the connection's owner come back
	log   *slog.Logger

	mu    sync.Mutex
	asked sync.Cond // an asking has ended
	busy  bool
	due   bool // something changed while it was asked
	over  bool
	timer *time.Timer // of the answer's end
}

func newLasting(judge func() (time.Time, bool), end func(), log *slog.Logger) *lasting {
	l := &lasting{judge: judge, end: end, log: log}
	l.asked.L = &l.mu
	return l
}

// ask judges the connection in the background, once for all changes that come
// meanwhile.
func (l *lasting) ask() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over:
	case l.busy:
		l.due = true
	default:
		l.busy = true
		go l.run()
	}
}

func (l *lasting) run() {
	for {
		until, ok := l.verdict()
		l.mu.Lock()
		if ok && l.due && !l.over {
			l.due = false
			l.mu.Unlock()
			continue
		}
		if ok {
			l.arm(until)
		} else if !l.over {
			l.over = true
			l.end()
		}
		l.busy = false
		l.asked.Broadcast()
		l.mu.Unlock()
		return
	}
}

// verdict is no where judging finds a fault in us.
func (l *lasting) verdict() (until time.Time, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("judging a connection failed", "panic", p, "stack", string(debug.Stack()))
			until, ok = time.Time{}, false
		}
	}()
	return l.judge()
}

// arm has it asked again when the answer has run out. It is called with the lock.
func (l *lasting) arm(until time.Time) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if !l.over && !until.IsZero() {
		l.timer = time.AfterFunc(lapse(until), l.ask)
	}
}

// lapse is how long it takes until what is good until then is not any more: times
// in tokens and certificates are seconds, and the last one counts. What is further
// away than a year is looked at in a year.
func lapse(until time.Time) time.Duration {
	const most = 365 * 24 * time.Hour
	return min(time.Until(until), most) + time.Second
}

// stop ends the watch; nobody judges any more when it returns.
func (l *lasting) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.arm(time.Time{})
	for l.busy {
		l.asked.Wait()
	}
}
