package originaldst

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/usher-mesh/usher/test/harness"
)

// Ports that connections are redirected from, to others of the same address: firsts of
// hundreds, and where these lead.
const (
	handed, toHanded = 20000, 21000
	kept, toKept     = 20100, 21100
	told, toTold     = 20200, 21200
)

// exempt is the source address of connections that are not redirected: those of the proxies.
const exempt = "127.0.0.6"

// namespaced tells the tests that they are in a namespace of their own.
const namespaced = "USHER_TEST_NAMESPACED"

// TestMain runs the tests in a network namespace of their own, if it can make one.
func TestMain(m *testing.M) {
	if os.Getenv(namespaced) == "" {
		if _, err := exec.LookPath("nft"); err == nil && os.Getuid() == 0 {
			c := exec.Command(os.Args[0], os.Args[1:]...)
			c.Env, c.Stdout, c.Stderr = append(os.Environ(), namespaced+"=yes"), os.Stdout, os.Stderr
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			if c.Start() == nil {
				c.Wait()
				os.Exit(c.ProcessState.ExitCode())
			}
		}
	} else if err := errors.Join(loopback(), redirect()); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the network namespace:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// needRedirects leaves the test out where connections cannot be redirected.
func needRedirects(t *testing.T) {
	t.Helper()
	harness.NeedRoot(t)
	harness.Need(t, "nft")
	if os.Getenv(namespaced) == "" {
		harness.LeaveOut(t, "may make no network namespace")
	}
}

// loopback takes the namespace's loopback interface up.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

func redirect() error {
	c := exec.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(fmt.Sprintf(`table inet usher {
		chain out {
			type nat hook output priority -100; policy accept;
			ip saddr %s accept
			tcp dport %d-%d redirect to :%d
			tcp dport %d-%d redirect to :%d
			tcp dport %d-%d redirect to :%d
		}
	}`, exempt, handed, handed+99, toHanded, kept, kept+99, toKept, told, told+99, toTold))
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}
