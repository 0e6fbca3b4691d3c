package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/usher-mesh/usher/internal/control/standalone"
	"github.com/usher-mesh/usher/internal/jwks"
)

// The environment of the control plane. The first is istiod's too.
const (
	refreshVar = "PILOT_JWT_PUB_KEY_REFRESH_INTERVAL"
	maxAgeVar  = "USHER_JWT_PUB_KEY_MAX_AGE"
)

// readEnviron reads what the environment says of issuers' keys.
func readEnviron(o *standalone.Options) (err error) {
	if o.KeyRefresh, err = durationVar(refreshVar, time.Second, jwks.MostMaxAge); err != nil {
		return err
	}
	o.KeyMaxAge, err = durationVar(maxAgeVar, jwks.LeastMaxAge, jwks.MostMaxAge)
	return err
}

// durationVar gives 0 if the variable is not set.
func durationVar(name string, least, most time.Duration) (time.Duration, error) {
	text := os.Getenv(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, Exit(exitMisuse, fmt.Errorf("%s=%q: is no duration from %s to %s, such as 20m", name, text, least, most))
	}
	return d, nil
}
