//go:build !amd64

package modexp

import "math/big"

// fastest is nil: there are no kernels for this machine.
func fastest(*big.Int) *montgomery { return nil }
