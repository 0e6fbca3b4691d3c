package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/test/harness"
)

// TestDynamicFiles: the sandbox of configuration from files, with what its reader does: the
// upstream is edited in a copy that is moved into place.
func TestDynamicFiles(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	services := serve(t)
	run := func(program string, args ...string) string {
		p, stop := start(t, &example{name: "dynamic_fs"}, services, program, args...)
		defer stop()
		ask := get("PROXY", "/").do
		var out strings.Builder
		for _, service := range []string{"SERVICE1", "SERVICE2"} {
			if service != "SERVICE1" {
				edited := filepath.Join(p.dir, "tmp")
				fill(t, filepath.Join("testdata", "dynamic_fs", "cds.yaml"), edited, func(string) string { return fmt.Sprint(services[service]) })
				if err := os.Rename(edited, filepath.Join(p.dir, "cds.yaml")); err != nil {
					t.Fatal(err)
				}
			}
			harness.Eventually(t, patience, program+": "+service, func() (bool, any) {
				got := ask(p)
				return strings.Contains(got, service), got
			})
			out.WriteString(ask(p))
		}
		return out.String()
	}
	e := run(envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	if u := run(usher); e != u {
		t.Errorf("Envoy:\n%s\nusher:\n%s", e, u)
	}
}
