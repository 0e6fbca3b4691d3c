package route

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"regexp"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/match"

	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/upstream/subset"
)

const (
	defaultTimeout = 15 * time.Second
	// Bytes of a direct response, where the table says nothing and at most.
	defaultDirectBody = 4 << 10
	maxDirectBody     = 64 << 10
)

// grpcBound is what a gRPC client may ask for at most; 0: anything; negative: it is not
// asked.
func grpcBound(d *durationpb.Duration) time.Duration {
	if d == nil {
		return -1
	}
	return max(d.AsDuration(), 0)
}

func compileForward(m *routev3.RouteAction, p *pathMatcher, v *VirtualHost) (*Forward, error) {
	if err := strict.Only(m, "cluster", "cluster_header", "weighted_clusters", "cluster_not_found_response_code", "prefix_rewrite",
		"regex_rewrite", "path_rewrite", "host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header", "host_rewrite_path_regex",
		"append_x_forwarded_host", "timeout", "idle_timeout", "retry_policy", "upgrade_configs", "max_stream_duration",
		"priority", "max_grpc_timeout", "path_rewrite_policy", "hash_policy", "request_mirror_policies", "rate_limits",
		"include_vh_rate_limits", "metadata_match"); err != nil {
		return nil, err
	}
	f := &Forward{NotFound: 503, Timeout: defaultTimeout, Idle: -1, GRPCStream: -1, Retry: v.retry, Mirrors: v.mirrors, prefixRewrite: m.GetPrefixRewrite(),
		pathRewrite: m.GetPathRewrite(), forwardedHost: m.GetAppendXForwardedHost(), Attempts: v.attempts, AttemptsAnswer: v.attemptsAnswer}
	f.GRPCTimeout = grpcBound(m.GetMaxGrpcTimeout())
	if m.GetClusterNotFoundResponseCode() == routev3.RouteAction_NOT_FOUND {
		f.NotFound = 404
	}
	if t := m.GetTimeout(); t != nil {
		f.Timeout = t.AsDuration()
	}
	if t := m.GetIdleTimeout(); t != nil {
		f.Idle = t.AsDuration()
	}
	if d := m.GetMaxStreamDuration(); d != nil {
		if err := strict.Only(d, "max_stream_duration", "grpc_timeout_header_max"); err != nil {
			return nil, strict.At("max_stream_duration", err)
		}
		f.GRPCStream, f.MaxDuration = grpcBound(d.GetGrpcTimeoutHeaderMax()), d.GetMaxStreamDuration().AsDuration()
		f.Timeout, f.GRPCTimeout = 0, -1 // it replaces them
	}
	f.criteria = subset.New(m.GetMetadataMatch().GetFilterMetadata()[subset.Metadata])
	var err error
	if f.Priority, err = upstream.PriorityOf(m.GetPriority()); err != nil {
		return nil, strict.At("priority", err)
	}
	if m.GetRetryPolicy() != nil {
		r, err := compileRetry(m.GetRetryPolicy())
		if err != nil {
			return nil, strict.At("retry_policy", err)
		}
		f.Retry = r
	}
	if list := m.GetRequestMirrorPolicies(); len(list) > 0 { // instead of those of the levels above
		if f.Mirrors, err = compileMirrors(list); err != nil {
			return nil, err
		}
	}
	if f.Upgrades, err = Upgrades(m.GetUpgradeConfigs()); err != nil {
		return nil, err
	}
	if m.GetPrefixRewrite() != "" && m.GetRegexRewrite() != nil || m.GetPathRewritePolicy() != nil && (m.GetPrefixRewrite() != "" || m.GetRegexRewrite() != nil) {
		return nil, strict.Errorf("", "more than one of prefix_rewrite, regex_rewrite and path_rewrite_policy")
	}
	if f.regexRewrite, f.regexSubst, err = compileSubstitution(m.GetRegexRewrite()); err != nil {
		return nil, strict.At("regex_rewrite", err)
	}
	if m.GetPathRewritePolicy() != nil {
		if p.kind != templatePath {
			return nil, strict.Errorf("path_rewrite_policy", "needs a path_match_policy")
		}
		if f.templateRewrite, err = match.CompileRewrite(m.GetPathRewritePolicy(), p.template); err != nil {
			return nil, strict.At("path_rewrite_policy", err)
		}
	}
	for i, h := range m.GetHashPolicy() {
		c, err := compileHash(h)
		if err != nil {
			return nil, strict.AtIndex("hash_policy", i, err)
		}
		f.hash = append(f.hash, c)
	}
	if err := f.host(m); err != nil {
		return nil, err
	}
	return f, f.clusters(m)
}

func (f *Forward) host(m *routev3.RouteAction) (err error) {
	switch h := m.GetHostRewriteSpecifier().(type) {
	case *routev3.RouteAction_HostRewriteLiteral:
		f.HostRewrite = h.HostRewriteLiteral
	case *routev3.RouteAction_AutoHostRewrite:
		f.AutoHost = h.AutoHostRewrite.GetValue()
	case *routev3.RouteAction_HostRewriteHeader:
		f.hostHeader = strings.ToLower(h.HostRewriteHeader)
	case *routev3.RouteAction_HostRewritePathRegex:
		f.hostRegex, f.hostSubst, err = compileSubstitution(h.HostRewritePathRegex)
	}
	return strict.At("host_rewrite_path_regex", err)
}

func (f *Forward) clusters(m *routev3.RouteAction) error {
	switch s := m.GetClusterSpecifier().(type) {
	case *routev3.RouteAction_Cluster:
		f.cluster = s.Cluster
	case *routev3.RouteAction_ClusterHeader:
		f.header = strings.ToLower(s.ClusterHeader)
	case *routev3.RouteAction_WeightedClusters:
		return strict.At("weighted_clusters", f.weights(s.WeightedClusters))
	default:
		return strict.Errorf("cluster_specifier", "missing")
	}
	if f.cluster == "" && f.header == "" {
		return strict.Errorf("cluster", "empty")
	}
	return nil
}

func (f *Forward) weights(m *routev3.WeightedCluster) error {
	if err := strict.Only(m, "clusters", "total_weight", "runtime_key_prefix"); err != nil {
		return err
	}
	total := uint64(0)
	for i, w := range m.GetClusters() {
		if err := strict.Only(w, "name", "cluster_header", "weight", "request_headers_to_add", "request_headers_to_remove",
			"response_headers_to_add", "response_headers_to_remove", "host_rewrite_literal", "metadata_match"); err != nil {
			return strict.AtIndex("clusters", i, err)
		}
		muts, err := compileMutations(w)
		if err != nil {
			return strict.AtIndex("clusters", i, err)
		}
		if (w.GetName() == "") == (w.GetClusterHeader() == "") {
			return strict.AtIndex("clusters", i, strict.Errorf("name", "want this or cluster_header"))
		}
		total += uint64(w.GetWeight().GetValue())
		f.weighted = append(f.weighted, weighted{w.GetName(), strings.ToLower(w.GetClusterHeader()), w.GetWeight().GetValue(), muts, w.GetHostRewriteLiteral(),
			f.criteria.Merge(w.GetMetadataMatch().GetFilterMetadata()[subset.Metadata])})
	}
	if total == 0 || total > 1<<32-1 {
		return strict.Errorf("clusters", "the weights add up to %d", total)
	}
	f.total = uint32(total)
	return nil
}

// group is a reference to a group in Envoy's (RE2's) substitutions.
var group = regexp.MustCompile(`\\([0-9])`)

func compileSubstitution(m *matcherv3.RegexMatchAndSubstitute) (*regexp.Regexp, string, error) {
	if m == nil {
		return nil, "", nil
	}
	re, err := regexp.Compile(m.GetPattern().GetRegex())
	if err != nil {
		return nil, "", strict.At("pattern.regex", err)
	}
	for _, g := range group.FindAllStringSubmatch(m.GetSubstitution(), -1) {
		if n := int(g[1][0] - '0'); n > re.NumSubexp() {
			return nil, "", strict.Errorf("substitution", "%s is no group of the pattern", g[0])
		}
	}
	subst := strings.ReplaceAll(m.GetSubstitution(), "$", "$$")
	return re, group.ReplaceAllString(subst, "$${$1}"), nil
}

func compileRedirect(m *routev3.RedirectAction) (*Redirect, error) {
	if err := strict.Only(m, "https_redirect", "scheme_redirect", "host_redirect", "port_redirect", "path_redirect", "prefix_rewrite",
		"regex_rewrite", "response_code", "strip_query"); err != nil {
		return nil, err
	}
	d := &Redirect{https: m.GetHttpsRedirect(), scheme: m.GetSchemeRedirect(), host: m.GetHostRedirect(), port: m.GetPortRedirect(),
		path: m.GetPathRedirect(), prefix: m.GetPrefixRewrite(), stripQuery: m.GetStripQuery()}
	var err error
	if d.regex, d.substitute, err = compileSubstitution(m.GetRegexRewrite()); err != nil {
		return nil, strict.At("regex_rewrite", err)
	}
	switch m.GetResponseCode() {
	case routev3.RedirectAction_MOVED_PERMANENTLY:
		d.Status = 301
	case routev3.RedirectAction_FOUND:
		d.Status = 302
	case routev3.RedirectAction_SEE_OTHER:
		d.Status = 303
	case routev3.RedirectAction_TEMPORARY_REDIRECT:
		d.Status = 307
	case routev3.RedirectAction_PERMANENT_REDIRECT:
		d.Status = 308
	default:
		return nil, strict.Errorf("response_code", "%w", strict.ErrUnsupported)
	}
	return d, nil
}

func compileDirect(m *routev3.DirectResponseAction, most int) (*Direct, error) {
	if err := strict.Only(m, "status", "body", "body_format"); err != nil {
		return nil, err
	}
	if m.GetStatus() < 200 || m.GetStatus() > 599 {
		return nil, strict.Errorf("status", "%d is not one", m.GetStatus())
	}
	d := &Direct{Status: int(m.GetStatus())}
	if m.GetBody() != nil {
		b, err := tls.Data(m.GetBody())
		if err != nil {
			return nil, strict.At("body", err)
		}
		if len(b) > most {
			return nil, strict.Errorf("body", "larger than %d bytes (max_direct_response_body_size_bytes, at most %d)", most, maxDirectBody)
		}
		d.body = string(b)
	}
	if m.GetBodyFormat() != nil {
		f, err := format.CompileBody(m.GetBodyFormat())
		if err != nil {
			return nil, strict.At("body_format", err)
		}
		d.format = f
	}
	return d, nil
}
