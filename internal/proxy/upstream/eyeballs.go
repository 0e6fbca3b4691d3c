package upstream

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// nextAddress is how long an address has until the next one is tried beside it, as Envoy.
const nextAddress = 300 * time.Millisecond

// dialAny connects to the first of the host's addresses that takes it (RFC 8305).
func (h *Host) dialAny(ctx context.Context) (*net.TCPConn, error) {
	type result struct {
		nc  *net.TCPConn
		err error
	}
	all := alternate(append([]netip.AddrPort{h.Addr}, h.others...))
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan result, len(all))
	under := 0
	defer func() {
		cancel()
		go func() { // what comes too late
			for range under {
				if r := <-results; r.nc != nil {
					r.nc.Close()
				}
			}
		}()
	}()
	begin := func(to netip.AddrPort) {
		under++
		go func() {
			nc, err := h.dialTo(ctx, to)
			results <- result{nc, err}
		}()
	}
	begin(all[0])
	next := time.NewTicker(nextAddress)
	defer next.Stop()
	for at := 1; ; at++ {
		var err error
		select {
		case r := <-results:
			under--
			if err = r.err; err == nil {
				return r.nc, nil
			}
		case <-next.C:
		}
		switch {
		case at < len(all):
			h.Counts.CxTotal.Add(1)
			h.cluster.Counts.CxTotal.Inc()
			next.Reset(nextAddress)
			begin(all[at])
		case under == 0:
			return nil, err
		}
	}
}

// dialTo connects to one address, from the configured one if that is of its family.
func (h *Host) dialTo(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	d := h.cluster.dialer
	if b := h.cluster.bind; b.IsValid() && b.Is4() == to.Addr().Is4() {
		d.LocalAddr = &net.TCPAddr{IP: b.AsSlice()}
	}
	return tcp(d.DialContext(ctx, "tcp", to.String()))
}

// alternate orders addresses by turns of their families; the first stays it.
func alternate(all []netip.AddrPort) []netip.AddrPort {
	var same, other, out []netip.AddrPort
	for _, a := range all {
		if a.Addr().Is4() == all[0].Addr().Is4() {
			same = append(same, a)
		} else {
			other = append(other, a)
		}
	}
	for i := range max(len(same), len(other)) {
		if i < len(same) {
			out = append(out, same[i])
		}
		if i < len(other) {
			out = append(out, other[i])
		}
	}
	return out
}
