// Package translate turns a snapshot of objects into the mesh model, and into a
// status for every object. It is pure functions in an ordered list; what did not
// change between two snapshots is the same pointer in both models. It knows
// nothing of Envoy, of proxies, or of how statuses are written.
//
// What it cannot translate never makes anything more open: an object of
// authentication or authorization that cannot be taken denies what it selects.
package translate
