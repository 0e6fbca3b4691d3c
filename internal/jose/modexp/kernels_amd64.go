package modexp

import "math/big"

// fastest prepares n for the fastest kernels that this machine has; nil: it has none.
func fastest(n *big.Int) *montgomery {
	if m := newIFMA(n); m != nil {
		return m
	}
	return newADX(n)
}
