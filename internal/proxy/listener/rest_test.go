package listener_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// noter notes where the text of a request stands.
type noter chan weak.Pointer[byte]

func (n noter) Decode(x *exchange.Exchange) bool {
	n <- weak.Make(unsafe.StringData(x.Request.Header.Get("x-long")))
	return true
}

// A connection of HTTP/2 that waits holds nothing of the requests that it has carried: there
// may have been many at a time, and their heads may have been large.
func TestStreamsLeaveNothingBehind(t *testing.T) {
	n := make(noter, 1)
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, echo), ""))
	with(p, n)
	rq, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+p.addr, nil)
	rq.Header.Set("X-Long", strings.Repeat("a", 5000)) // larger than the table of what was sent before
	rs, err := client2(t).Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	rs.Body.Close()
	long := <-n
	for end := time.Now().Add(patience); long.Value() != nil; runtime.GC() {
		if time.Now().After(end) {
			t.Fatal("a field of the request is held")
		}
	}
}

// marker leaves marks of who asks on a request, and tells of those that were there before.
type marker struct{ t *testing.T }

func (m marker) Decode(x *exchange.Exchange) bool {
	who := strings.Clone(x.Request.Header.Get("x-who"))
	if len(x.Metadata)+len(x.FilterState)+len(x.Secrets()) > 0 || x.Kept(m) != nil || x.Response.Header.Len() > 0 || !x.Until.IsZero() {
		m.t.Errorf("%s finds marks: %v %v %v %v", who, x.Metadata, x.FilterState, x.Secrets(), x.Kept(m))
	}
	x.SetMetadata("who", who, jsondoc.Of(who))
	x.SetFilterState("who", who)
	x.Redact([]exchange.Secret{{Name: who}})
	x.Keep(m, who)
	x.HoldsUntil(x.Start)
	if x.Request.Path == "/refused" {
		x.Reply(403, who, "")
		return false
	}
	return true
}

func (m marker) Encode(x *exchange.Exchange) {
	x.Response.Header.Set("x-kept", fmt.Sprint(x.Kept(m), " ", x.FilterState["who"], " ", len(x.Metadata["who"])))
}

// What is known of a client's request is known of no other's, though exchanges pass from one
// connection to the next, whatever protocol they speak.
func TestClientsAreApart(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(w http.ResponseWriter, r *http.Request) {
		all, _ := io.ReadAll(r.Body)
		io.WriteString(w, string(all)+r.Header.Get("X-Who"))
	}), ""))
	with(p, marker{t})
	var all sync.WaitGroup
	for i := range 8 {
		c := client(t)
		if i%2 == 1 {
			c = client2(t)
		}
		all.Go(func() {
			for n := range 50 {
				who, path, content := fmt.Sprintf("client-%d-%d", i, n), "/", strings.Repeat("a", n%3*5000)
				if n%5 == 4 {
					path, content = "/refused", ""
				}
				rq, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+p.addr+path, strings.NewReader(content))
				rq.Header.Set("X-Who", who)
				rs, err := c.Do(rq)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(rs.Body)
				rs.Body.Close()
				if want := who + " " + who + " 1"; err != nil || string(b) != content+who || rs.Header.Get("X-Kept") != want {
					t.Errorf("%s: %d, %.100q of %d, %v, %q", who, rs.StatusCode, b[max(0, len(b)-50):], len(b), err, rs.Header.Get("X-Kept"))
				}
			}
		})
	}
	all.Wait()
}
