package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const wrkReport = `Running 3s test @ http://127.0.0.1:29103/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.03ms    1.92ms  31.17ms   95.60%
    Req/Sec    36.68k     4.12k   41.33k    80.00%
  Latency Distribution
     50%    1.66ms
     75%    2.24ms
     90%  980.00us
     99%    1.05s 
  109640 requests in 3.00s, 16.31MB read
`

func TestParseWrk(t *testing.T) {
	const end = "Requests/sec:  36513.58\nTransfer/sec:      5.43MB\n"
	want := load{requests: 109640, rate: 36513.58, p50: 1660 * time.Microsecond, p99: 1050 * time.Millisecond}
	got, err := parseWrk(wrkReport + end)
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	want.failed = 12 + 1 + 2 + 3 + 4
	got, err = parseWrk(wrkReport + "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 12\n" + end)
	if err != nil || got != want {
		t.Errorf("with failures: got %+v, %v, want %+v", got, err, want)
	}
	if _, err := parseWrk("unable to connect to 127.0.0.1:1 Connection refused"); err == nil {
		t.Error("a report without figures is taken")
	}
}

func TestParseH2load(t *testing.T) {
	const report = `finished in 2.00s, 235648.00 req/s, 9.21MB/s
requests: 471296 total, 471424 started, 471296 done, 471290 succeeded, 6 failed, 0 errored, 0 timeout
status codes: 471290 2xx, 0 3xx, 0 4xx, 6 5xx
`
	want := load{requests: 471296, rate: 235648, failed: 6}
	if got, err := parseH2load(report); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := parseH2load(strings.Split(report, "\n")[0]); err == nil {
		t.Error("a report without requests is taken")
	}
}

// What `bench pace` writes is what parsePaced reads.
func TestPaced(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	for token, failed := range map[string]int{"t": 0, "": 50} {
		var in, out bytes.Buffer
		if err := json.NewEncoder(&in).Encode(order{URL: server.URL, Token: token, Rate: 50, Seconds: 1, Conns: 4}); err != nil {
			t.Fatal(err)
		}
		if err := pace(t.Context(), &in, &out); err != nil {
			t.Fatal(err)
		}
		got, err := parsePaced(out.Bytes())
		if err != nil || got.requests != 50 || got.failed != failed || got.p50 <= 0 || got.p99 < got.p50 {
			t.Errorf("token %q: %+v, %v", token, got, err)
		}
	}
}

// An answer that is late counts for the requests that it delays: of 20 in a second, a
// stop of 600 ms is seen by more than half.
func TestPacedOmitsNothing(t *testing.T) {
	stop := sync.OnceFunc(func() { <-time.After(600 * time.Millisecond) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stop() }))
	defer server.Close()
	var in, out bytes.Buffer
	if err := json.NewEncoder(&in).Encode(order{URL: server.URL, Rate: 20, Seconds: 1, Conns: 1}); err != nil {
		t.Fatal(err)
	}
	if err := pace(t.Context(), &in, &out); err != nil {
		t.Fatal(err)
	}
	if got, err := parsePaced(out.Bytes()); err != nil || got.p50 < 50e6 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMiddle(t *testing.T) {
	got := middle([]row{{P50: 3, P99: 10, Failed: 1}, {P50: 1, P99: 30}, {P50: 2, P99: 20, Failed: 2}})
	if want := (row{P50: 2, P99: 20, Failed: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
