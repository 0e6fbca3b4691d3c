package jwks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	fetchTimeout = 10 * time.Second // of a whole fetch, discovery and redirects included
	maxRedirects = 3
	maxETag      = 256 // bytes
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
	client *http.Client
	mirror bool
	maxAge time.Duration // of keys, unless a mirror tells
	now    func() time.Time
}

func newFetcher(t http.RoundTripper, mirror bool, now func() time.Time) *fetcher {
	return &fetcher{client: &http.Client{Transport: t, CheckRedirect: checkRedirect}, mirror: mirror, maxAge: MaxAge, now: now}
}

// Fetch gets a key set once, as a Cache would.
func Fetch(ctx context.Context, t http.RoundTripper, target Target) (*Set, error) {
	f, err := newFetcher(t, false, time.Now).fetch(ctx, target, "", nil)
	if err != nil {
		return nil, err
	}
	return f.set, nil
}

// checkRedirect follows few, and never from https to http.
func checkRedirect(rq *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return failed(ReasonRedirect, fmt.Errorf("more than %d redirects", maxRedirects))
	}
	if err := checkScheme(rq.URL, via[len(via)-1].URL); err != nil {
		return failed(ReasonRedirect, err)
	}
	return nil
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
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(t.Timeout, fetchTimeout))
	defer cancel()
	u, err := parseURL(t.URI, nil)
	if err != nil {
		return nil, failed(ReasonForbidden, err)
	}
	if t.Issuer != "" {
		if u, err = f.discover(ctx, t.Issuer, u); err != nil {
			return nil, err
		}
	}
	return f.keys(ctx, t.URI, u, kid, last)
}

// keys gets the set of this name from u. The mirror is told the kid, which changes
// when it answers, not what.
func (f *fetcher) keys(ctx context.Context, name string, u *url.URL, kid string, last *fetched) (*fetched, error) {
	from, tag := u.String(), ""
	if last != nil && last.from == from {
		tag = last.etag
	}
	at := *u
	if f.mirror && kid != "" {
		q := at.Query()
		q.Set("kid", kid)
		at.RawQuery = q.Encode()
	}
	rsp, err := f.get(ctx, &at, tag)
	if err != nil {
		return nil, wrap(u, err)
	}
	defer rsp.Body.Close()
	unchanged := rsp.StatusCode == http.StatusNotModified && tag != ""
	if rsp.StatusCode != http.StatusOK && !unchanged {
		return nil, wrap(u, f.refused(rsp.StatusCode))
	}
	when, maxAge, err := f.confirmed(rsp.Header)
	if err != nil {
		return nil, wrap(u, err)
	}
	if unchanged {
		s := *last.set
		s.Fetched, s.MaxAge = when, maxAge
		return &fetched{set: &s, from: from, etag: tag, header: rsp.Header}, nil
	}
	body, err := readBody(rsp)
	if err != nil {
		return nil, wrap(u, err)
	}
	s, err := parse(name, body, when)
	if err != nil {
		return nil, wrap(u, failed(ReasonContent, err))
	}
	s.MaxAge = maxAge
	etag := rsp.Header.Get("Etag")
	if len(etag) > maxETag {
		etag = ""
	}
	return &fetched{set: s, from: from, etag: etag, header: rsp.Header}, nil
}

// wrap says which address failed. What it asked for is not said: a query may hold a
// password, and the kid of somebody's token.
func wrap(u *url.URL, err error) error {
	bare := *u
	bare.RawQuery = ""
	return fmt.Errorf("%s: %w", bare.Redacted(), err)
}

func (f *fetcher) refused(status int) error {
	if f.mirror && status == http.StatusNotFound {
		return failed(ReasonUnnamed, ErrUnknown)
	}
	return failed(ReasonStatus, fmt.Errorf("answers %d, not 200", status))
}

// confirmed tells when the issuer last confirmed the keys of an answer, by the wall
// clock (a machine that sleeps does not keep its keys young), and how old they may
// become.
func (f *fetcher) confirmed(h http.Header) (when time.Time, maxAge time.Duration, err error) {
	now := f.now().Round(0)
	if !f.mirror {
		return now, f.maxAge, nil
	}
	n, err := strconv.ParseUint(h.Get(AgeHeader), 10, 31)
	if err != nil {
		return time.Time{}, 0, errors.New("the mirror does not say how old the keys are")
	}
	maxAge = f.maxAge
	if m, err := strconv.ParseUint(h.Get(MaxAgeHeader), 10, 31); err == nil && m > 0 {
		maxAge = maxAgeWithin(time.Duration(m) * time.Second)
	}
	return now.Add(-time.Duration(n) * time.Second), maxAge, nil
}

// discover reads an issuer's metadata (OpenID Connect Discovery 1.0, section 4;
// RFC 8414) for the address of its keys.
func (f *fetcher) discover(ctx context.Context, issuer string, doc *url.URL) (*url.URL, error) {
	rsp, err := f.get(ctx, doc, "")
	if err != nil {
		return nil, wrap(doc, err)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return nil, wrap(doc, f.refused(rsp.StatusCode))
	}
	body, err := readBody(rsp)
	if err != nil {
		return nil, wrap(doc, err)
	}
	// The scheme of what answered, after redirects, bounds that of the keys.
	u, err := keysURI(body, issuer, rsp.Request.URL)
	if err != nil {
		return nil, wrap(doc, failed(ReasonDiscovery, err))
	}
	return u, nil
}

// keysURI reads jwks_uri from the discovery document of the issuer.
func keysURI(body []byte, issuer string, from *url.URL) (*url.URL, error) {
	// A map, since encoding/json matches the members of structs in any case.
	var m map[string]json.RawMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, errors.New("the answer is not a JSON object")
	}
	var iss, uri string
	if json.Unmarshal(m["issuer"], &iss) != nil || json.Unmarshal(m["jwks_uri"], &uri) != nil {
		return nil, errors.New("issuer or jwks_uri is missing or not a string")
	}
	// Exactly: a slash more is another issuer (section 4.3).
	if iss != issuer {
		return nil, fmt.Errorf("is of issuer %q, not %q", iss, issuer)
	}
	u, err := parseURL(uri, from)
	if err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	return u, nil
}

func parseURL(s string, from *url.URL) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("not a URL") // the parser's text quotes what may hold a password
	}
	u.Fragment, u.RawFragment = "", ""
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
		return nil, cause(ctx, err)
	}
	return rsp, nil
}

func readBody(rsp *http.Response) ([]byte, error) {
	ctx := rsp.Request.Context()
	b, err := io.ReadAll(io.LimitReader(rsp.Body, MaxBody+1))
	if err == nil {
		err = ctx.Err() // a server that sees us leave may still end its answer properly
	}
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be read: %w", cause(ctx, err))
	}
	if len(b) > MaxBody {
		return nil, failed(ReasonSize, fmt.Errorf("the answer is bigger than %d bytes", MaxBody))
	}
	return b, nil
}
