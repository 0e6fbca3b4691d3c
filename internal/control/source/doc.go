// Package source watches the API server and gives consistent, immutable
// snapshots of all objects that the mesh is made from. It knows nothing of what
// they mean.
package source
