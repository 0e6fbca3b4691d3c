package supervise

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// lookup finds a command: one without a slash beside the program, then on PATH.
func lookup(name, beside, workdir string) (string, error) {
	if strings.ContainsRune(name, '/') {
		if !filepath.IsAbs(name) && workdir != "" {
			name = filepath.Join(workdir, name)
		}
		return exec.LookPath(name)
	}
	if p, err := exec.LookPath(filepath.Join(beside, name)); err == nil {
		return p, nil
	}
	return exec.LookPath(name)
}
