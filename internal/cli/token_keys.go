package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/jose"
)

// fetchTimeout is how long verify waits for a key set.
const fetchTimeout = 10 * time.Second

func readKeys(file string) ([]byte, error) { return atomicfile.ReadLimited(file, jose.MaxKeySetSize) }

// fetchKeys gets a key set: at most 3 redirects, none from https to http.
func fetchKeys(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{CheckRedirect: func(rq *http.Request, via []*http.Request) error {
		switch {
		case len(via) > 3:
			return errors.New("more than 3 redirects")
		case via[len(via)-1].URL.Scheme == "https" && rq.URL.Scheme != "https":
			return errors.New("a redirect from https to " + rq.URL.Scheme)
		}
		return nil
	}}
	rsp, err := client.Do(rq)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", rsp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(rsp.Body, jose.MaxKeySetSize+1))
	if err == nil && len(b) > jose.MaxKeySetSize {
		err = fmt.Errorf("the answer has more than %d bytes", jose.MaxKeySetSize)
	}
	return b, err
}
