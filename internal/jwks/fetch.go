package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	fetchTimeout = 10 * time.Second // of a whole fetch, discovery and redirects included
	maxRedirects = 3
)

// fetched is what one good fetch brought.
type fetched struct {
	set    *Set
	from   string // the address that was asked
	etag   string // the issuer's, for from
	header http.Header
}

// fetcher does single fetches. It keeps nothing.
type fetcher struct {
	client  *http.Client
	mirror  bool
	now     func() time.Time
	timeout time.Duration
}

func newFetcher(t http.RoundTripper, mirror bool, now func() time.Time) *fetcher {
	return &fetcher{
		client:  &http.Client{Transport: t, CheckRedirect: checkRedirect},
		mirror:  mirror,
		now:     now,
		timeout: fetchTimeout,
	}
}

// checkRedirect follows few, and never from https to http.
func checkRedirect(rq *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return checkScheme(rq.URL, via[len(via)-1].URL)
}

// checkScheme refuses an address that is less secure than the one that named it.
func checkScheme(to, from *url.URL) error {
	if to.Scheme != "https" && to.Scheme != "http" {
		return fmt.Errorf("scheme %q is neither http nor https", to.Scheme)
	}
	if from != nil && from.Scheme == "https" && to.Scheme != "https" {
		return errors.New("https leads to http")
	}
	if to.Host == "" {
		return errors.New("address has no host")
	}
	return nil
}

// fetch gets the target's set. last, of an earlier fetch, may be nil.
func (f *fetcher) fetch(ctx context.Context, t Target, kid string, last *fetched) (*fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	u, err := parseURL(t.URI, nil)
	if err != nil {
		return nil, err
	}
	if t.Discovery {
		if u, err = f.discover(ctx, t, u); err != nil {
			return nil, err
		}
	}
	if f.mirror && kid != "" {
		q := u.Query()
		q.Set("kid", kid)
		u.RawQuery = q.Encode()
	}
	return f.keys(ctx, t.URI, u, last)
}

func (f *fetcher) keys(ctx context.Context, name string, u *url.URL, last *fetched) (*fetched, error) {
	bare := *u
	if f.mirror {
		bare.RawQuery = "" // the kid does not change what is answered
	}
	from := bare.String()
	tag := ""
	if last != nil && last.from == from {
		tag = last.etag
	}
	rsp, err := f.get(ctx, u, tag)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	unchanged := rsp.StatusCode == http.StatusNotModified && tag != ""
	if rsp.StatusCode != http.StatusOK && !unchanged {
		return nil, fmt.Errorf("%s: answers %d, not 200", u.Redacted(), rsp.StatusCode)
	}
	when, err := f.confirmed(rsp.Header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	if unchanged {
		s := *last.set
		s.Fetched = when
		return &fetched{set: &s, from: from, etag: tag, header: rsp.Header}, nil
	}
	body, err := readBody(rsp)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	s, err := parse(name, body, when)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	etag := rsp.Header.Get("Etag")
	if len(etag) > 256 {
		etag = ""
	}
	return &fetched{set: s, from: from, etag: etag, header: rsp.Header}, nil
}

// confirmed tells when the issuer last confirmed the keys of an answer.
func (f *fetcher) confirmed(h http.Header) (time.Time, error) {
	if !f.mirror {
		return f.now(), nil
	}
	n, err := strconv.ParseUint(h.Get(AgeHeader), 10, 31)
	if err != nil {
		return time.Time{}, errors.New("the mirror does not say how old the keys are")
	}
	return f.now().Add(-time.Duration(n) * time.Second), nil
}

// discover reads an issuer's metadata (OpenID Connect Discovery 1.0, section 4;
// RFC 8414) for the address of its keys.
func (f *fetcher) discover(ctx context.Context, t Target, issuer *url.URL) (*url.URL, error) {
	doc := *issuer
	doc.Path = strings.TrimSuffix(doc.Path, "/") + "/.well-known/openid-configuration"
	if issuer.RawPath != "" {
		doc.RawPath = strings.TrimSuffix(issuer.RawPath, "/") + "/.well-known/openid-configuration"
	}
	rsp, err := f.get(ctx, &doc, "")
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: answers %d, not 200", doc.Redacted(), rsp.StatusCode)
	}
	body, err := readBody(rsp)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doc.Redacted(), err)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("%s: the answer is not a JSON object", doc.Redacted())
	}
	var iss, uri string
	if json.Unmarshal(m["issuer"], &iss) != nil || json.Unmarshal(m["jwks_uri"], &uri) != nil {
		return nil, fmt.Errorf("%s: issuer or jwks_uri is missing or not a string", doc.Redacted())
	}
	want := t.Issuer
	if want == "" {
		want = t.URI
	}
	// Exactly: a slash more is another issuer (section 4.3).
	if iss != want {
		return nil, fmt.Errorf("%s: is of issuer %q, not %q", doc.Redacted(), iss, want)
	}
	// The scheme of what answered, after redirects.
	u, err := parseURL(uri, rsp.Request.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: jwks_uri: %w", doc.Redacted(), err)
	}
	return u, nil
}

func parseURL(s string, from *url.URL) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("not a URL") // the parser's text quotes what may hold a password
	}
	u.Fragment = ""
	return u, checkScheme(u, from)
}

func (f *fetcher) get(ctx context.Context, u *url.URL, etag string) (*http.Response, error) {
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	rq.Header.Set("Accept", "application/json, application/jwk-set+json")
	rq.Header.Set("User-Agent", "usher")
	if etag != "" {
		rq.Header.Set("If-None-Match", etag)
	}
	rsp, err := f.client.Do(rq)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Redacted(), cause(ctx, err))
	}
	return rsp, nil
}

// cause takes the address off an error of net/http, and names time-outs.
func cause(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("no whole answer in time")
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

func readBody(rsp *http.Response) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(rsp.Body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be read: %w", cause(rsp.Request.Context(), err))
	}
	if len(b) > MaxBody {
		return nil, fmt.Errorf("the answer is bigger than %d bytes", MaxBody)
	}
	return b, nil
}
