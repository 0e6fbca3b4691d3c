package modexp

import "math/big"

// kinds prepares n for all kernels; nil for those that this machine lacks or n does not fit.
func kinds(n *big.Int) map[string]*montgomery {
	return map[string]*montgomery{"IFMA": newIFMA(n), "ADX": newADX(n)}
}
