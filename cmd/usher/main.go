// Command usher is the command line, the control plane and, on one machine, the
// API server of the mesh.
package main

import (
	"os"

	"github.com/usher-mesh/usher/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
