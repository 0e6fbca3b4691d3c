package jwtauthn

import (
	"cmp"
	"os"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// readSource gives the text of a local key set. It is read once.
func readSource(d *corev3.DataSource) ([]byte, error) {
	if err := strict.Only(d, "filename", "inline_bytes", "inline_string", "environment_variable"); err != nil {
		return nil, err
	}
	switch s := d.GetSpecifier().(type) {
	case *corev3.DataSource_Filename:
		b, err := atomicfile.ReadLimited(s.Filename, jose.MaxKeySetSize)
		return b, strict.At("filename", err)
	case *corev3.DataSource_InlineBytes:
		return s.InlineBytes, nil
	case *corev3.DataSource_InlineString:
		return []byte(s.InlineString), nil
	case *corev3.DataSource_EnvironmentVariable:
		v, ok := os.LookupEnv(s.EnvironmentVariable)
		if !ok {
			return nil, strict.Errorf("environment_variable", "%s is not set", s.EnvironmentVariable)
		}
		return []byte(v), nil
	}
	return nil, strict.Errorf("specifier", "missing")
}

// Envoy's defaults (jwks_async_fetcher.cc, config.core.v3.BackoffStrategy), and the
// most retries of one fetch that are made.
const (
	defaultRefetch = time.Second
	defaultBackOff = time.Second
	backOffGrowth  = 10 // of max_interval beside base_interval
	maxRetries     = 100
	maxBackOff     = time.Hour
)

// compileRemote reads where a remote key set is. Keys are always fetched in the
// background; async_fetch says when the next fetch follows one that failed, and
// whether listeners wait for the first one.
func compileRemote(m *jwtv3.RemoteJwks) (*Source, error) {
	if err := strict.Only(m, "http_uri", "cache_duration", "async_fetch", "retry_policy"); err != nil {
		return nil, err
	}
	u, async := m.GetHttpUri(), m.GetAsyncFetch()
	if err := strict.Only(u, "uri", "cluster", "timeout"); err != nil {
		return nil, strict.At("http_uri", err)
	}
	if u.GetUri() == "" || u.GetCluster() == "" {
		return nil, strict.Errorf("http_uri", "uri and cluster must be there")
	}
	if err := strict.Only(async, "fast_listener", "failed_refetch_duration"); err != nil {
		return nil, strict.At("async_fetch", err)
	}
	for path, d := range map[string]*durationpb.Duration{
		"http_uri.timeout": u.GetTimeout(), "cache_duration": m.GetCacheDuration(), "async_fetch.failed_refetch_duration": async.GetFailedRefetchDuration(),
	} {
		if d != nil && (d.CheckValid() != nil || d.AsDuration() < 0) {
			return nil, strict.Errorf(path, "not a duration")
		}
	}
	if d := m.GetCacheDuration(); d != nil && d.AsDuration() < time.Millisecond {
		return nil, strict.Errorf("cache_duration", "less than 1ms")
	}
	s := &Source{
		Cluster: u.GetCluster(), URI: u.GetUri(), Timeout: u.GetTimeout().AsDuration(), CacheDuration: m.GetCacheDuration().AsDuration(),
	}
	if async != nil {
		s.Wait = !async.GetFastListener()
		s.Refetch = cmp.Or(async.GetFailedRefetchDuration().AsDuration(), defaultRefetch)
	}
	return s, strict.At("retry_policy", s.compileRetry(m.GetRetryPolicy()))
}

func (s *Source) compileRetry(m *corev3.RetryPolicy) error {
	if m == nil {
		return nil
	}
	if err := strict.Only(m, "num_retries", "retry_back_off"); err != nil {
		return err
	}
	s.Retries = 1
	if n := m.GetNumRetries(); n != nil {
		s.Retries = int(min(n.GetValue(), maxRetries))
	}
	s.BackOff, s.MaxBackOff = defaultBackOff, backOffGrowth*defaultBackOff
	b := m.GetRetryBackOff()
	if b == nil {
		return nil
	}
	if err := strict.Only(b, "base_interval", "max_interval"); err != nil {
		return strict.At("retry_back_off", err)
	}
	base, most := b.GetBaseInterval(), b.GetMaxInterval()
	if base.CheckValid() != nil || base.AsDuration() < time.Millisecond {
		return strict.Errorf("retry_back_off.base_interval", "less than 1ms")
	}
	if most != nil && (most.CheckValid() != nil || most.AsDuration() < base.AsDuration()) {
		return strict.Errorf("retry_back_off.max_interval", "less than base_interval")
	}
	s.BackOff = min(base.AsDuration(), maxBackOff)
	s.MaxBackOff = backOffGrowth * s.BackOff
	if most != nil {
		s.MaxBackOff = min(most.AsDuration(), maxBackOff)
	}
	return nil
}
