package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestPowerLoss keeps a home on a disk of its own, and cuts the power at random
// moments while objects are written: what the disk then holds is what was synced.
// Every object that kubectl saw acknowledged must be there when a mesh starts on it.
func TestPowerLoss(t *testing.T) {
	harness.Need(t, "mkfs.ext4", "mount", "umount", "losetup")
	harness.NeedRoot(t)
	for i := range harness.Count(t, "power cuts", 1, 10) {
		powerLoss(t, i)
	}
}

func powerLoss(t *testing.T, round int) {
	dir, err := os.MkdirTemp("/tmp", "up-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	disk, at := filepath.Join(dir, "disk"), filepath.Join(dir, "at")
	command(t, "truncate", "-s", "512M", disk)
	command(t, "mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", disk)
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(t, disk, at)
	defer func() { exec.Command("umount", at).Run() }()

	m := &harness.Mesh{T: t, Home: filepath.Join(at, "h")}
	m.Start()
	defer func() { m.TryUsher("down") }()
	unsynced := filepath.Join(at, "unsynced")
	if err := os.WriteFile(unsynced, []byte("lost"), 0o600); err != nil {
		t.Fatal(err)
	}
	acknowledged := writeUntilKilled(t, m, round)
	for len(acknowledged) == 0 {
		m.Start()
		acknowledged = writeUntilKilled(t, m, round)
	}
	// The disk's file, not the file system: what waits in memory is not in it.
	cut := filepath.Join(dir, "cut")
	command(t, "cp", "--sparse=always", disk, cut)
	m.Usher("down")
	command(t, "umount", at)

	mount(t, cut, at)
	if data, _ := os.ReadFile(unsynced); len(data) > 0 {
		t.Error("the copy holds what was never synced: this test shows nothing")
	}
	m.Start()
	there := strings.Fields(m.Kubectl("get", "configmap", "-o", "jsonpath={.items[*].metadata.name}"))
	names := make(map[string]bool, len(there))
	for _, n := range there {
		names[n] = true
	}
	for _, n := range acknowledged {
		if !names[n] {
			t.Errorf("%s was acknowledged and is gone", n)
		}
	}
	t.Logf("%d objects acknowledged before the power went, %d there", len(acknowledged), len(there))
	m.Usher("down")
	// The kernel may still be taking down the last process's memory.
	harness.Eventually(t, 5*time.Second, "the home is in use no more", func() (bool, any) {
		err := syscall.Unmount(at, 0)
		return err == nil, err
	})
}

// mount has the file system write by itself as late as it can be told to.
func mount(t *testing.T, disk, at string) {
	t.Helper()
	command(t, "mount", "-o", "loop,commit=300", disk, at)
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
