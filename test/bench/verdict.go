package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// checkVerdicts wants right answers before speed: a proxy that lets everything
// through would be the fastest.
func checkVerdicts(ctx context.Context, s *site, w work) error {
	good := ""
	if w.token != noToken {
		good = s.tokens[0]
	}
	if err := wantStatus(ctx, s, w, good, http.StatusOK); err != nil {
		return err
	}
	switch {
	case w.token != noToken:
		if err := wantStatus(ctx, s, w, s.tokens[len(s.tokens)-1], http.StatusOK); err != nil {
			return fmt.Errorf("another token: %w", err)
		}
		if err := wantStatus(ctx, s, w, "", cmp.Or(w.refusal, http.StatusUnauthorized)); err != nil {
			return fmt.Errorf("without a token: %w", err)
		}
		if err := wantStatus(ctx, s, w, tamper(good), http.StatusUnauthorized); err != nil {
			return fmt.Errorf("with a tampered token: %w", err)
		}
	case w.listener == "mesh":
		if status, err := ask(ctx, s, work{listener: "mtls"}, ""); err == nil && status == http.StatusOK {
			return fmt.Errorf("between the two ends a request in clear is answered with %d", status)
		}
	}
	return nil
}

func wantStatus(ctx context.Context, s *site, w work, token string, want int) error {
	got, err := ask(ctx, s, w, token)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("status %d, not %d", got, want)
	}
	return nil
}

// ask sends a GET with the token, if there is one, on a connection of its own.
func ask(ctx context.Context, s *site, w work, token string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(w.listener)+w.path, nil)
	if err != nil {
		return 0, err
	}
	req.Host = w.host
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	t := &http.Transport{DisableKeepAlives: true, Protocols: new(http.Protocols)}
	if w.listener == "h2" {
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP1(true)
	}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
