package extauthz

import (
	"maps"

	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// settings are a compiled ExtAuthzPerRoute.
type settings struct {
	disabled   bool
	extensions map[string]string
	content    *content // nil: the filter's
	service    service  // nil: the filter's
}

// Over implements filter.Merger: context_extensions of all levels count, the most
// specific first; the rest is the most specific's.
func (s *settings) Over(less any) any {
	l, ok := less.(*settings)
	if !ok || len(l.extensions) == 0 {
		return s
	}
	out := *s
	out.extensions = maps.Clone(l.extensions)
	maps.Copy(out.extensions, s.extensions)
	return &out
}

func compilePerRoute(a *anypb.Any, o *Options) (any, error) {
	var m authzv3.ExtAuthzPerRoute
	if err := strict.Unpack(a, &m); err != nil {
		return nil, err
	}
	if err := strict.Only(&m, "disabled", "check_settings"); err != nil {
		return nil, err
	}
	switch k := m.GetOverride().(type) {
	case *authzv3.ExtAuthzPerRoute_Disabled:
		if !k.Disabled {
			return nil, strict.Errorf("disabled", "must be true")
		}
		return &settings{disabled: true}, nil
	case *authzv3.ExtAuthzPerRoute_CheckSettings:
		s, err := compileSettings(k.CheckSettings, o)
		return s, strict.At("check_settings", err)
	}
	return nil, strict.Errorf("override", "missing")
}

func compileSettings(m *authzv3.CheckSettings, o *Options) (s *settings, err error) {
	if err := strict.Only(m, "context_extensions", "disable_request_body_buffering", "with_request_body", "grpc_service", "http_service",
		"emit_client_span"); err != nil {
		return nil, err
	}
	s = &settings{extensions: m.GetContextExtensions()}
	if s.content, err = compileContent(m.GetWithRequestBody()); err != nil {
		return nil, strict.At("with_request_body", err)
	}
	if m.GetDisableRequestBodyBuffering() {
		if s.content != nil {
			return nil, strict.Errorf("disable_request_body_buffering", "beside with_request_body")
		}
		s.content = &content{}
	}
	switch {
	case m.GetGrpcService() != nil:
		s.service, err = compileGRPC(m.GetGrpcService(), o)
		return s, strict.At("grpc_service", err)
	case m.GetHttpService() != nil:
		s.service, err = compileHTTP(m.GetHttpService(), o)
		return s, strict.At("http_service", err)
	}
	return s, nil
}
