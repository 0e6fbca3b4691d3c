package modexp

// addMul adds to z the product of x, of n blocks, and y, of one block. z has n+1
// blocks; the carry out of them is the result.
//
//go:noescape
func addMul(z, x, y *uint64, n int) (carry uint64)

// addReduced adds to z that multiple of m, of n blocks, which makes z's lowest block
// zero; k0 is -1/m mod 2^64. z has n+1 blocks, of which the lowest is not written;
// the carry out of them is the result.
//
//go:noescape
func addReduced(z, m *uint64, k0 uint64, n int) (carry uint64)
