package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// order tells `bench pace` what to send, as JSON on its standard input.
type order struct {
	URL     string `json:"url"`
	Token   string `json:"token,omitempty"`
	Rate    int    `json:"rate"` // requests a second
	Seconds int    `json:"seconds"`
	Conns   int    `json:"connections"`
}

// pace sends requests at a constant rate, whether or not answers to the ones before
// have come, and tells what came as JSON. A slow answer delays no request after it, so
// no latency is left out.
func pace(ctx context.Context, in io.Reader, out io.Writer) error {
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return err
	}
	target := vegeta.Target{Method: http.MethodGet, URL: o.URL, Header: http.Header{}}
	if o.Token != "" {
		target.Header.Set("Authorization", "Bearer "+o.Token)
	}
	attacker := vegeta.NewAttacker(vegeta.Connections(o.Conns), vegeta.Workers(uint64(o.Conns)), vegeta.HTTP2(false), vegeta.Timeout(5*time.Second))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	var m vegeta.Metrics
	rate := vegeta.Rate{Freq: o.Rate, Per: time.Second}
	for r := range attacker.Attack(vegeta.NewStaticTargeter(target), rate, time.Duration(o.Seconds)*time.Second, "") {
		m.Add(r)
	}
	m.Close()
	return json.NewEncoder(out).Encode(m)
}

// paced has another process send at a constant rate, pinned as other generators are.
func (s *site) paced(rate, conns int) generator {
	return func(ctx context.Context, w work, seconds int) (load, error) {
		self, err := os.Executable()
		if err != nil {
			return load{}, err
		}
		o := order{URL: s.url(w.listener) + w.path, Rate: rate, Seconds: seconds, Conns: conns}
		if w.token != noToken {
			o.Token = s.tokens[0]
		}
		text, err := json.Marshal(o)
		if err != nil {
			return load{}, err
		}
		argv := pinned(loadCPU, self, "pace")
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin = bytes.NewReader(text)
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, lastLine(exit.Stderr))
		}
		if err != nil {
			return load{}, fmt.Errorf("bench pace: %w", err)
		}
		return parsePaced(out)
	}
}

func parsePaced(out []byte) (load, error) {
	var m vegeta.Metrics
	if err := json.Unmarshal(out, &m); err != nil {
		return load{}, fmt.Errorf("bench pace: %w", err)
	}
	return load{requests: int(m.Requests), rate: m.Rate, p50: m.Latencies.P50, p99: m.Latencies.P99, failed: int(m.Requests) - m.StatusCodes["200"]}, nil
}
