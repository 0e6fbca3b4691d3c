package upstream

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxNamed bounds the hosts of a dynamic cluster; the one unused longest goes.
const maxNamed = 1024

// SplitAuthority gives host (without brackets) and port of an authority; port is
// the default if there is none.
func SplitAuthority(authority string, port uint16) (string, uint16, bool) {
	host := authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && i > strings.LastIndexByte(authority, ']') {
		n, err := strconv.ParseUint(authority[i+1:], 10, 16)
		if err != nil {
			return "", 0, false
		}
		host, port = authority[:i], uint16(n)
	}
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	return host, port, host != "" && port != 0
}

// pickNamed gives the host that an authority names.
func (c *Cluster) pickNamed(authority string, port uint16) (*Host, error) {
	name, port, ok := SplitAuthority(authority, port)
	if !ok {
		return nil, ErrNoHealthy
	}
	text := net.JoinHostPort(strings.ToLower(name), strconv.Itoa(int(port)))
	now := c.opts.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrNoHealthy
	}
	h := c.named[text]
	if h == nil {
		if len(c.named) >= maxNamed {
			c.evict()
		}
		h = &Host{cluster: c, Text: strings.Clone(text), Name: strings.Clone(name), name: strings.Clone(name), port: port, socket: c.socket}
		c.named[h.Text] = h
	}
	h.used = now
	return h, nil
}

// evict drains the host that was unused longest.
func (c *Cluster) evict() {
	var oldest *Host
	for _, h := range c.named {
		if oldest == nil || h.used.Before(oldest.used) {
			oldest = h
		}
	}
	if oldest != nil {
		delete(c.named, oldest.Text)
		oldest.drain()
	}
}

// dnsTarget is an endpoint given by name.
type dnsTarget struct {
	name string
	port uint16
	key  hostKey
	text string
}

// refresh resolves the names of a DNS cluster if it is time to. The first caller
// does it, others wait only if there is nothing yet.
func (c *Cluster) refresh(ctx context.Context) error {
	now := c.opts.Now()
	c.mu.Lock()
	if now.Sub(c.resolved) < c.dnsRefresh {
		c.mu.Unlock()
		return nil
	}
	if wait := c.resolving; wait != nil {
		c.mu.Unlock()
		if c.hosts.Load() != nil {
			return nil
		}
		select {
		case <-wait:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	c.resolving = done
	c.mu.Unlock()
	hosts := c.resolve(ctx)
	if hosts != nil || c.hosts.Load() == nil {
		c.setHosts(hosts, hosts)
	}
	c.mu.Lock()
	c.resolved, c.resolving = now, nil
	c.mu.Unlock()
	close(done)
	return nil
}

func (c *Cluster) resolve(ctx context.Context) []*Host {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	old := c.Hosts()
	var all []*Host
	for _, t := range c.dns {
		addrs, err := c.resolver().LookupNetIP(ctx, "ip", t.name)
		if err != nil {
			c.opts.Log.Warn("name of a cluster's endpoint does not resolve", "cluster", c.Name, "endpoint", t.text, "error", err)
			continue
		}
		slices.SortFunc(addrs, netip.Addr.Compare)
		for _, a := range addrs {
			k := t.key
			k.addr = netip.AddrPortFrom(a.Unmap(), t.port)
			all = append(all, c.host(old, k))
		}
	}
	return all
}

// host gives the host of a key, the one in use if there is one.
func (c *Cluster) host(old []*Host, k hostKey) *Host {
	for _, h := range old {
		if h.key == k {
			return h
		}
	}
	h := &Host{cluster: c, Addr: k.addr, Text: k.addr.String(), Name: k.name, key: k, socket: c.socket}
	if k.socket >= 0 {
		h.socket = c.matches[k.socket].socket
	}
	return h
}
