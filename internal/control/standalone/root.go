package standalone

import (
	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/control/ca"
	"github.com/usher-mesh/usher/internal/home"
)

// writeRoot puts the mesh's roots where whoever joins the mesh finds them.
func writeRoot(h home.Dir) error {
	a, err := ca.Open(h.MeshPKI(), ca.Options{})
	if err != nil {
		return err
	}
	return atomicfile.Write(h.Root(), a.RootPEM(), 0o600)
}
