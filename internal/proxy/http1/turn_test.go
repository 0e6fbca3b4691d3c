package http1

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Who waits to read is not kept waiting by others that give way to each other: what was
// written is read before they have done so a few hundred times. Without stops the
// runtime's monitor finds it, after tens of thousands.
func TestGivingWayStarvesNobody(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var given, written atomic.Int64
	var worst int64
	const rounds = 50
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1)
		for range rounds {
			if _, err := r.Read(b); err != nil {
				t.Error(err)
				return
			}
			worst = max(worst, given.Load()-written.Load())
			written.Store(-1)
		}
	}()
	written.Store(-1)
	var busy sync.WaitGroup
	for i := range 8 {
		busy.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if i == 0 && written.Load() < 0 {
					written.Store(given.Load())
					if _, err := w.Write([]byte{0}); err != nil {
						t.Error(err)
						return
					}
				}
				given.Add(1)
				turn().give()
			}
		})
	}
	busy.Wait()
	if most := int64(4 * beforeLook); worst > most {
		t.Errorf("others gave way %d times before a reader was found, at most %d are due", worst, most)
	}
}
