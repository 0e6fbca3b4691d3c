// Package version holds what the build was told of itself.
package version

// Version is set by the linker: -X github.com/usher-mesh/usher/internal/version.Version=v0.1.0
var Version = "v0.1.0-dev"
