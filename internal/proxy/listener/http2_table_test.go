package listener_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

// TestTableKeeps holds that fields which differ from message to message arrive as they
// were sent: the table of the encoder does not live on the memory of a message that is
// gone. 1,000 of them are more than it takes.
func TestTableKeeps(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Got", r.Header.Get("N")) }
	for name, cluster := range map[string]string{
		"to HTTP/2":   staticCluster("up", backend2(t, false, echo), speak(explicit2)),
		"to HTTP/1.1": staticCluster("up", backend(t, echo), ""),
	} {
		p := newProxy(t, nil)
		p.cluster(cluster)
		p.start(plainListener(""))
		for from, c := range map[string]*http.Client{"HTTP/2": client2(t), "HTTP/1.1": {Transport: &http.Transport{}}} {
			for i := range 1000 {
				want := fmt.Sprintf("%04d", i)
				rq, _ := http.NewRequest("GET", "http://"+p.addr+"/", nil)
				rq.Header.Set("N", want)
				rs, err := c.Do(rq)
				if err != nil {
					t.Fatalf("%s %s, request %d: %v", from, name, i, err)
				}
				io.Copy(io.Discard, rs.Body)
				rs.Body.Close()
				if got := rs.Header.Get("Got"); got != want || rs.StatusCode != 200 {
					t.Fatalf("%s %s: got %q, want %q (%d)", from, name, got, want, rs.StatusCode)
				}
			}
			c.CloseIdleConnections()
		}
	}
}
