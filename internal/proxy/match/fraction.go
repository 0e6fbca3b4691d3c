package match

import (
	"math/rand/v2"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Fraction is a compiled FractionalPercent: a share of all requests.
type Fraction struct{ share, of uint32 }

// Everything is a share that every request belongs to.
var Everything = Fraction{1, 1}

// CompileFraction compiles a FractionalPercent; nil is no request at all.
func CompileFraction(m *typev3.FractionalPercent) (Fraction, error) {
	if err := strict.Only(m, "numerator", "denominator"); err != nil {
		return Fraction{}, err
	}
	of, err := denominator(m.GetDenominator())
	return Fraction{m.GetNumerator(), of}, err
}

// CompileRuntimeFraction compiles a RuntimeFractionalPercent. There is no runtime that
// could say otherwise than the default.
func CompileRuntimeFraction(m *corev3.RuntimeFractionalPercent) (Fraction, error) {
	if err := strict.Only(m, "default_value", "runtime_key"); err != nil {
		return Fraction{}, err
	}
	f, err := CompileFraction(m.GetDefaultValue())
	return f, strict.At("default_value", err)
}

func denominator(d typev3.FractionalPercent_DenominatorType) (uint32, error) {
	switch d {
	case typev3.FractionalPercent_HUNDRED:
		return 100, nil
	case typev3.FractionalPercent_TEN_THOUSAND:
		return 10_000, nil
	case typev3.FractionalPercent_MILLION:
		return 1_000_000, nil
	}
	return 0, strict.Errorf("denominator", "%w", strict.ErrUnsupported)
}

// AtMost lowers the share to so many of the denominator.
func (f Fraction) AtMost(share uint32) Fraction { return Fraction{min(share, f.share), f.of} }

// Hit tells whether a request belongs to the share; each call decides anew.
func (f Fraction) Hit() bool {
	return f.share != 0 && (f.share >= f.of || rand.Uint32N(f.of) < f.share)
}

// HitBy decides by a number of the request: always alike for one.
func (f Fraction) HitBy(random uint64) bool { return uint32(random%uint64(f.of)) < f.share }
