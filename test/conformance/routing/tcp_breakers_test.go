package routing

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// TestSameTCPBreakers compares what becomes of TCP connections at max_connections, what is
// logged of them, and the counters.
func TestSameTCPBreakers(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	echo := beside.ServeTCP(t, func(c net.Conn) { io.Copy(c, c) })
	at := harness.FreePorts(t, 3) // the last one is the administration's
	log := filepath.Join(t.TempDir(), "log")
	proxied := func(name string, port int) object {
		line := object{"text_format_source": object{"inline_string": name + " %RESPONSE_FLAGS% %UPSTREAM_HOST% %BYTES_RECEIVED%\n"}}
		tcp := object{"@type": types + "extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": name, "cluster": "up", "max_connect_attempts": 3,
			"access_log": list{object{"name": "file", "typed_config": object{"@type": types + "extensions.access_loggers.file.v3.FileAccessLog", "path": log, "log_format": line}}}}
		return object{"name": name, "address": address(port), "filter_chains": list{object{"filters": list{object{"name": "tcp", "typed_config": tcp}}}}}
	}
	up := balanced("up", []int{echo}, object{"circuit_breakers": object{"thresholds": list{object{"max_connections": 2}}}})
	file := writeWithAdmin(t, at[2], list{proxied("a", at[0]), proxied("b", at[1])}, list{up})
	echoed := func(c net.Conn) string {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Write([]byte("hello"))
		b := make([]byte, 5)
		n, err := io.ReadFull(c, b)
		if err != nil { // the end, or a reset by what was not read
			return fmt.Sprintf("%q and the end", b[:n])
		}
		return string(b)
	}
	say := func(program string, args ...string) (out []string) {
		os.Remove(log)
		stop := harness.Serve(t, at[2:], program, args...)
		open := func(port int) net.Conn {
			var c net.Conn
			harness.Eventually(t, 10*time.Second, "it listens", func() (bool, any) {
				var err error
				c, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				return err == nil, err
			})
			t.Cleanup(func() { c.Close() })
			return c
		}
		counts := func() string {
			return counted(t, at[2], "up", "upstream_cx_overflow") + ", " + counted(t, at[2], "up", "circuit_breakers_default_cx_open")
		}
		var all []net.Conn
		for i := range 4 {
			all = append(all, open(at[i%2]))
			out = append(out, fmt.Sprintf("%d: %s; %s", i, echoed(all[i]), counts()))
		}
		all[0].Close()
		harness.Eventually(t, 10*time.Second, "one has ended", func() (bool, any) {
			got := counts()
			return !strings.Contains(got, "cx_open"), got
		})
		all = append(all, open(at[0]))
		out = append(out, "one ended: "+echoed(all[4])+"; "+counts())
		for _, c := range all {
			c.Close()
		}
		harness.Eventually(t, 10*time.Second, "all have ended", func() (bool, any) {
			got := counted(t, at[2], "up", "upstream_cx_active")
			return got == "", got
		})
		stop()
		lines, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		logged := strings.Split(string(lines), "\n")
		slices.Sort(logged) // they end in any order
		return append(out, logged...)
	}
	e := say(envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	same(t, e, say(usher, "-c", file))
}
