package standalone

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/usher-mesh/usher/internal/footprint"
)

// gcPercent makes Go collect earlier than by default once the start is over: what
// follows allocates little, so it saves memory and costs no time that can be measured.
// During the start it would cost a quarter of the time.
const gcPercent = 50

// keepSmall returns memory to the system again when the OpenAPI documents have been
// built in the background, sooner or later as the machine is busy: they leave tens of
// MB of garbage, and what follows needs little.
func keepSmall(ctx context.Context) {
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	for _, wait := range []time.Duration{time.Second, 4 * time.Second, 15 * time.Second} {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			footprint.Trim()
		}
	}
	<-ctx.Done()
}
