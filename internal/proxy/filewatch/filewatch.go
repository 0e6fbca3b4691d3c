// Package filewatch tells when a file was moved into a folder. That, and nothing else, is
// how files are replaced that must never be read in part: one that is created in its place,
// or written to, is still being written when the kernel tells. It reads no files.
package filewatch

import (
	"log/slog"
	"path/filepath"
	"sync"
)

// Watcher tells of moves. Its zero value is ready; it holds nothing of the kernel's before
// the first Moves.
type Watcher struct {
	Log *slog.Logger // nil: slog.Default

	mu      sync.Mutex
	kernel  *kernel
	folders map[int]*folder // by the kernel's number
}

// folder is one that is watched.
type folder struct {
	path string
	by   map[*watch]bool
}

type watch struct {
	name  string // "": any
	moved func()
}

// File has moved called whenever something is moved to path, Folder whenever something is
// moved into the folder. moved must not wait, and may be called once more while stop runs.
func (w *Watcher) File(path string, moved func()) (stop func(), err error) {
	return w.add(filepath.Dir(path), filepath.Base(path), moved)
}

// Folder is as File.
func (w *Watcher) Folder(path string, moved func()) (stop func(), err error) {
	return w.add(path, "", moved)
}

func (w *Watcher) add(path, name string, moved func()) (stop func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kernel == nil {
		if w.kernel, err = open(); err != nil {
			return nil, err
		}
		w.folders = map[int]*folder{}
		go w.kernel.read(w.happened)
	}
	id, err := w.kernel.watch(path)
	if err != nil {
		return nil, err
	}
	f := w.folders[id]
	if f == nil {
		f = &folder{path, map[*watch]bool{}}
		w.folders[id] = f
	}
	this := &watch{name, moved}
	f.by[this] = true
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(f.by, this)
		if len(f.by) == 0 && w.folders[id] == f {
			delete(w.folders, id)
			w.kernel.unwatch(id)
		}
	}, nil
}

// event is what the kernel tells.
type event struct {
	folder int
	name   string
	lost   bool // events were lost: anything may have happened
	gone   bool // the folder is not watched any more, or is not where it was
}

func (w *Watcher) happened(e event) {
	w.mu.Lock()
	var call []func()
	for id, f := range w.folders {
		if id != e.folder && !e.lost {
			continue
		}
		if e.gone {
			w.log().Error("a folder was removed or renamed, so that files in it are not read again", "folder", f.path)
			delete(w.folders, id)
			w.kernel.unwatch(id)
			continue
		}
		for x := range f.by {
			if e.lost || x.name == "" || x.name == e.name {
				call = append(call, x.moved)
			}
		}
	}
	w.mu.Unlock()
	for _, f := range call {
		f()
	}
}

func (w *Watcher) log() *slog.Logger {
	if w.Log == nil {
		return slog.Default()
	}
	return w.Log
}

// Close ends all watches.
func (w *Watcher) Close() error {
	w.mu.Lock()
	k := w.kernel
	w.mu.Unlock()
	if k == nil {
		return nil
	}
	return k.close()
}
