// Package status tells people, in the conditions Accepted and Programmed of their
// objects, what the mesh made of them. It owns when a condition is written and in
// which words. It must not know how objects are translated nor how proxies are
// reached: a mesh.Status says the one, a Proxies the other.
package status

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/usher-mesh/usher/internal/control/xds"
	"github.com/usher-mesh/usher/internal/mesh"
)

// Proxies tells where an object stands with the connected proxies that it
// concerns, as of a generation of the model. *xds.Server is one.
type Proxies interface {
	Standing(ref mesh.Ref, generation uint64) xds.Standing
	// Changed receives after a standing may have changed.
	Changed() <-chan struct{}
}

// Options is what a Writer needs.
type Options struct {
	Client  dynamic.Interface
	Proxies Proxies
	// Resources are the custom resources whose status is written; objects of
	// others have none.
	Resources map[schema.GroupKind]schema.GroupVersionResource
	Log       *slog.Logger
	Now       func() time.Time // default time.Now
}

const (
	workers = 4
	queue   = 64
	// apart is the least time between two writes of an object that change no True
	// or False.
	apart = time.Second
	// acceptedAlone is how long Accepted waits for Programmed, to be written with it.
	acceptedAlone = 500 * time.Millisecond
	// patience is how long proxies have until Programmed is False.
	patience = 10 * time.Second
	// pace is the least time between two judgements of what is undecided, and
	// review of everything.
	pace   = 10 * time.Millisecond
	review = 500 * time.Millisecond
)

// Writer writes the conditions of all objects.
type Writer struct {
	o     Options
	jobs  chan job
	done  chan result
	input chan struct{}

	mu       sync.Mutex // guards what callers hand in
	next     *translation
	warnings map[mesh.Ref][]string
	warned   bool
}

type translation struct {
	generation uint64
	statuses   []mesh.Status
}

// New makes a writer. Run does the work.
func New(o Options) *Writer {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Writer{
		o: o, jobs: make(chan job, queue), done: make(chan result, queue+workers), input: make(chan struct{}, 1),
	}
}

// Set hands in what the newest translation found: one status an object, all
// objects. An object that is not among them is forgotten. generation is the
// model's.
func (w *Writer) Set(generation uint64, statuses []mesh.Status) {
	w.mu.Lock()
	w.next = &translation{generation: generation, statuses: statuses}
	w.mu.Unlock()
	w.wake()
}

// Warn replaces the warnings that stand beside those of translation, such as
// that a key set cannot be fetched.
func (w *Writer) Warn(warnings map[mesh.Ref][]string) {
	w.mu.Lock()
	w.warnings, w.warned = warnings, true
	w.mu.Unlock()
	w.wake()
}

func (w *Writer) wake() {
	select {
	case w.input <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends. Writes under way are ended then.
func (w *Writer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { w.work(ctx) })
	}
	defer wg.Wait()
	k := &keeper{Writer: w, objects: map[mesh.Ref]*object{}}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.input:
			k.take()
		case <-w.o.Proxies.Changed():
			k.reviewBy(w.o.Now().Add(review))
		case r := <-w.done:
			k.finished(r)
		case <-timer.C:
		}
		timer.Reset(k.turn())
	}
}
