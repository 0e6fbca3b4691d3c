// Command usher-proxy is the mesh's data plane: sidecar, gateway, and the
// supervisor of a local workload.
package main

import (
	"fmt"
	"os"

	"github.com/usher-mesh/usher/internal/proxy/supervise"
	"github.com/usher-mesh/usher/internal/version"
)

const usage = `usher-proxy is the data plane of the usher service mesh.

  usher-proxy -c FILE                  serve as FILE says: Envoy's Bootstrap, YAML or JSON
  usher-proxy -c FILE --mode validate  say whether FILE is good
  usher-proxy -c FILE --takeover SOCK  the same as without; the next one with this SOCK takes over from it
  usher-proxy supervise --dir DIR      run the local workload that DIR/workload.json describes
  usher-proxy version
`

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	switch args[0] {
	case "supervise":
		return supervise.Command(args[1:])
	case "version", "--version":
		fmt.Println("usher-proxy", version.Version)
		return 0
	case "help", "-h", "--help":
		fmt.Print(usage)
		return 0
	}
	return serve(args)
}
