package listener_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
	"weak"

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
