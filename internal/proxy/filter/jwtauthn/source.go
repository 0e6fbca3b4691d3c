package jwtauthn

import (
	"os"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"google.golang.org/protobuf/types/known/durationpb"

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
		fi, err := os.Stat(s.Filename)
		if err == nil && (!fi.Mode().IsRegular() || fi.Size() > jose.MaxKeySetSize) {
			return nil, strict.Errorf("filename", "%s: not a file of at most %d bytes", s.Filename, jose.MaxKeySetSize)
		}
		b, err := os.ReadFile(s.Filename)
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

// compileRemote reads where a remote key set is. Keys are always fetched in the
// background and tried again at a pace of their own, which is no slower than what
// async_fetch and retry_policy can ask for by default; so these two are checked and
// have no further effect.
func compileRemote(m *jwtv3.RemoteJwks) (*Source, error) {
	if err := strict.Only(m, "http_uri", "cache_duration", "async_fetch", "retry_policy"); err != nil {
		return nil, err
	}
	u := m.GetHttpUri()
	if err := strict.Only(u, "uri", "cluster", "timeout"); err != nil {
		return nil, strict.At("http_uri", err)
	}
	if u.GetUri() == "" || u.GetCluster() == "" {
		return nil, strict.Errorf("http_uri", "uri and cluster must be there")
	}
	if err := strict.Only(m.GetAsyncFetch(), "fast_listener", "failed_refetch_duration"); err != nil {
		return nil, strict.At("async_fetch", err)
	}
	for path, d := range map[string]*durationpb.Duration{
		"http_uri.timeout": u.GetTimeout(), "cache_duration": m.GetCacheDuration(), "async_fetch.failed_refetch_duration": m.GetAsyncFetch().GetFailedRefetchDuration(),
	} {
		if d != nil && (d.CheckValid() != nil || d.AsDuration() < 0) {
			return nil, strict.Errorf(path, "not a duration")
		}
	}
	if err := checkRetry(m.GetRetryPolicy()); err != nil {
		return nil, strict.At("retry_policy", err)
	}
	return &Source{
		Cluster: u.GetCluster(), URI: u.GetUri(), Timeout: u.GetTimeout().AsDuration(), CacheDuration: m.GetCacheDuration().AsDuration(),
	}, nil
}

func checkRetry(m *corev3.RetryPolicy) error {
	if err := strict.Only(m, "num_retries", "retry_back_off"); err != nil {
		return err
	}
	b := m.GetRetryBackOff()
	if b == nil {
		return nil
	}
	if err := strict.Only(b, "base_interval", "max_interval"); err != nil {
		return strict.At("retry_back_off", err)
	}
	base, most := b.GetBaseInterval(), b.GetMaxInterval()
	if base.AsDuration() < time.Millisecond {
		return strict.Errorf("retry_back_off.base_interval", "less than 1ms")
	}
	if most != nil && most.AsDuration() < base.AsDuration() {
		return strict.Errorf("retry_back_off.max_interval", "less than base_interval")
	}
	return nil
}
