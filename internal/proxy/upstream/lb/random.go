package lb

import "math/rand/v2"

// Random asks any entry, whatever its weight, as Envoy does.
type Random struct{}

func (Random) Hashes() bool { return false }

func (Random) New(entries []Entry) Balancer { return anyOf(len(entries)) }

type anyOf int

func (n anyOf) Pick(uint64, int) int { return rand.IntN(int(n)) }
