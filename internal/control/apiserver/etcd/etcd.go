package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// Member is a running etcd. Its failures end it; nothing is restarted.
type Member struct {
	endpoint string
	dir      string
	lock     *os.File
	etcd     *embed.Etcd
	faults   *faults
	quiet    atomic.Bool
	close    sync.Once
}

// socketName is the client socket's name in the folder of sockets.
const socketName = "etcd.sock"

// maxSocketPath is what sockaddr_un holds, less the closing zero.
const maxSocketPath = 107

// Start runs etcd on the data of dir with its socket in socketDir and returns when
// it serves. Errors name dir: it is locked by another process, damaged, or not
// ours. ctx bounds the start.
func Start(ctx context.Context, dir, socketDir string, log *slog.Logger) (*Member, error) {
	socket := filepath.Join(socketDir, socketName)
	if len(socket) > maxSocketPath {
		return nil, fmt.Errorf("etcd: %s: a socket's path has at most %d bytes, this one has %d", socket, maxSocketPath, len(socket))
	}
	for _, d := range []string{dir, socketDir} {
		if err := privateDir(d); err != nil {
			return nil, fmt.Errorf("etcd: %w", err)
		}
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	m := &Member{endpoint: "unix://" + socket, dir: dir, lock: lock, faults: newFaults(dir)}
	if err := m.start(ctx, socket, log); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Member) start(ctx context.Context, socket string, log *slog.Logger) error {
	m.quiet.Store(true)
	if err := checkBackend(m.dir); err != nil {
		return err
	}
	// A socket left by a killed process; the lock says that nobody listens there.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("etcd: %w", err)
	}
	etcd, err := m.faults.embed(config(m.dir, m.endpoint, newLogger(log, &m.quiet, m.faults)))
	if err != nil {
		return err
	}
	m.etcd = etcd
	if err := os.Chmod(socket, 0o600); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		m.quiet.Store(false)
		go m.watch()
		return nil
	case err := <-etcd.Err():
		return m.faults.named(err)
	case <-m.faults.Done():
		return m.faults.Err()
	case <-ctx.Done():
		return fmt.Errorf("etcd: %s: not ready: %w", m.dir, context.Cause(ctx))
	}
}

// watch turns the failure of etcd's own servers into the member's.
func (m *Member) watch() {
	select {
	case err, ok := <-m.etcd.Err():
		if ok && err != nil {
			m.faults.report(err.Error())
		}
	case <-m.etcd.Server.StopNotify():
	}
}

// Endpoint is the client URL, unix:///path.
func (m *Member) Endpoint() string { return m.endpoint }

// Done is closed when etcd has failed; it then serves no more.
func (m *Member) Done() <-chan struct{} { return m.faults.Done() }

// Err is the failure that closed Done.
func (m *Member) Err() error { return m.faults.Err() }

// Close ends etcd, and gives up the folder's lock.
func (m *Member) Close() {
	m.close.Do(func() {
		m.quiet.Store(true)
		if m.etcd != nil {
			m.faults.shut(m.etcd.Close)
		}
		m.lock.Close()
	})
}

// segmentBytes is the size of a write-ahead log file. etcd's 64 MB is preallocated
// twice, which a mesh of some hundred objects never fills.
const segmentBytes = 8 << 20

var segmentOnce sync.Once

func config(dir, endpoint string, log loggerBuilder) *embed.Config {
	// An exported variable is the only way to set it.
	segmentOnce.Do(func() { wal.SegmentSizeBytes = segmentBytes })
	client, _ := url.Parse(endpoint) // a path that Start has made
	c := embed.NewConfig()
	c.Name = "usher"
	c.Dir = dir
	c.ListenClientUrls = []url.URL{*client}
	c.AdvertiseClientUrls = []url.URL{*client}
	// One member has no peers, so nothing listens for them; the advertised URL is
	// only a name in the membership.
	c.ListenPeerUrls = nil
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.ZapLoggerBuilder = log
	c.LogLevel = "warn"
	// There is nobody to disagree: an election need not wait for a slow network.
	c.TickMs, c.ElectionMs = 20, 200
	c.SnapshotCount, c.SnapshotCatchUpEntries = 2000, 500
	c.MaxSnapFiles, c.MaxWalFiles = 2, 2
	c.QuotaBackendBytes = 256 << 20
	c.AutoCompactionMode, c.AutoCompactionRetention = "periodic", "5m"
	c.EnableGRPCGateway = false
	return c
}
