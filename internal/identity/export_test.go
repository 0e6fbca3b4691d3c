package identity

import (
	"context"
	"time"
)

// What tests outside the package call one by one, as Run does in its loop.
func (r *Rotating) Renew(ctx context.Context) error          { return r.renew(ctx) }
func (r *Rotating) RefreshRoots() bool                       { return r.refreshRoots() }
func (r *Rotating) Stands() bool                             { return r.stands() }
func (r *Rotating) Backoff(last time.Duration) time.Duration { return r.backoff(last) }
func (r *Rotating) RenewAt(from time.Time) time.Time         { return r.renewAt(from) }
