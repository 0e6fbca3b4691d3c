package footprint

import (
	_ "net/http" // so that there is something to give back
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

var mapping = regexp.MustCompile(`(?m)^([0-9a-f]+)-([0-9a-f]+) (r-.p) .* (/.*)\n(?:[A-Z].*\n)*?Rss: +(\d+) kB`)

// own sums what is resident of this program's read-only mappings, in bytes; touched reads
// all of them before.
func own(t *testing.T, touched bool) (resident int) {
	t.Helper()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mapping.FindAllStringSubmatch(string(text), -1) {
		if m[4] != exe {
			continue
		}
		from, _ := strconv.ParseUint(m[1], 16, 64)
		to, _ := strconv.ParseUint(m[2], 16, 64)
		if touched {
			const populateRead = 22 // MADV_POPULATE_READ
			if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, uintptr(from), uintptr(to-from), populateRead); errno != 0 {
				t.Fatal(errno)
			}
		}
		kb, _ := strconv.Atoi(m[5])
		resident += kb << 10
	}
	return resident
}

var sink = []string{"data that can be written", "stays"}

func TestTrimGivesBackTheProgramsPages(t *testing.T) {
	own(t, true)
	before := own(t, false)
	if before < 1<<20 {
		t.Fatalf("%d bytes are resident: there is nothing to give back", before)
	}
	sink[0] = "was written"
	Trim()
	if after := own(t, false); after > before/2 {
		t.Errorf("%d bytes of %d are still resident", after, before)
	}
	if sink[0] != "was written" || sink[1] != "stays" {
		t.Errorf("what was written is lost: %q", sink)
	}
}
