package xds

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/mesh"
)

// Generator makes what one proxy is to have. It is called from many goroutines at
// once. The maps of a Set are never changed, and are best shared between proxies.
type Generator interface {
	Generate(*mesh.Model, *mesh.Proxy) *xdsgen.Set
}

// Options is what a Server needs.
type Options struct {
	// TLS must require and verify a client certificate of the mesh's roots, at
	// each handshake (identity.ServerTLS).
	TLS         *tls.Config
	Generator   Generator
	TrustDomain string // default identity.DefaultTrustDomain
	Limits      Limits
	Log         *slog.Logger
	Now         func() time.Time // default time.Now
}

// Limits bound what one client can cost. A zero field has its default.
type Limits struct {
	StreamsPerWorkload int           // 4; more are refused
	PendingPerIdentity int           // 64 streams of an identity that are not let in yet
	RequestBytes       int           // 4 MiB a message
	Names              int           // 20,000 names subscribed to, for each type
	NameBytes          int           // 1,024 a name
	RequestsPerSecond  float64       // 200 for each stream, beyond which it is read more slowly
	RequestBurst       int           // 1,000
	PushBytes          int           // 2 MiB of resources a response; one resource may be more
	WaitForEntry       time.Duration // 10 s for the WorkloadEntry to appear
	Grace              time.Duration // 10 s a stream lives on after its WorkloadEntry is gone
	FirstRequest       time.Duration // 10 s for the first request
	AnswerWithin       time.Duration // 60 s a response may wait for its ACK or NACK
	KeepaliveTime      time.Duration // 30 s of silence before a ping
	KeepaliveTimeout   time.Duration // 10 s for its answer
}

func (l *Limits) fill() {
	setInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setTime := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	setInt(&l.StreamsPerWorkload, 4)
	setInt(&l.PendingPerIdentity, 64)
	setInt(&l.RequestBytes, 4<<20)
	setInt(&l.Names, 20000)
	setInt(&l.NameBytes, 1024)
	setInt(&l.RequestBurst, 1000)
	setInt(&l.PushBytes, 2<<20)
	if l.RequestsPerSecond == 0 {
		l.RequestsPerSecond = 200
	}
	setTime(&l.WaitForEntry, 10*time.Second)
	setTime(&l.Grace, 10*time.Second)
	setTime(&l.FirstRequest, 10*time.Second)
	setTime(&l.AnswerWithin, 60*time.Second)
	setTime(&l.KeepaliveTime, 30*time.Second)
	setTime(&l.KeepaliveTimeout, 10*time.Second)
}

func (o *Options) fill() error {
	if o.TLS == nil || o.Generator == nil {
		return errors.New("xds: TLS and Generator must be set")
	}
	if o.TLS.ClientAuth == tls.NoClientCert {
		return errors.New("xds: TLS must require a client certificate")
	}
	if o.TrustDomain == "" {
		o.TrustDomain = identity.DefaultTrustDomain
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Limits.fill()
	return nil
}
