//go:build !amd64

package modexp

import "math/big"

// kinds is empty: there are no kernels for this machine.
func kinds(*big.Int) map[string]*montgomery { return nil }
