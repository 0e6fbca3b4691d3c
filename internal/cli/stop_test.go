package cli

import (
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/home"
)

func TestUnknownWorkloadIsQuoted(t *testing.T) {
	_, err := findWorkload(home.Dir(t.TempDir()), "default", "\x1b[2Ja")
	if err == nil || !strings.Contains(err.Error(), `"\x1b[2Ja"`) {
		t.Errorf("%v: want the name quoted", err)
	}
}
