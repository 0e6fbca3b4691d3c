package route

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Mirror says where a copy of a share of the requests goes, whose answer nobody sees.
type Mirror struct {
	cluster  string
	header   string // cluster_header
	fraction match.Fraction
	suffix   bool // "-shadow" at the end of the host
}

// Hit gives the cluster that a copy of this request goes to, "" for none.
func (m *Mirror) Hit(x *exchange.Exchange) string {
	if !m.fraction.Hit() {
		return ""
	}
	if m.header != "" {
		return x.Request.Header.Get(m.header)
	}
	return m.cluster
}

// Authority gives the copy's authority: its host tells that it is one.
func (m *Mirror) Authority(a string) string {
	if !m.suffix {
		return a
	}
	if i := strings.LastIndexByte(a, ':'); i > strings.LastIndexByte(a, ']') {
		return a[:i] + "-shadow" + a[i:]
	}
	return a + "-shadow"
}

// compileMirrors compiles request_mirror_policies. Trace_sampled says whether the copy's
// span is sampled: a copy has none.
func compileMirrors(list []*routev3.RouteAction_RequestMirrorPolicy) (out []Mirror, err error) {
	for i, p := range list {
		if err := strict.Only(p, "cluster", "cluster_header", "runtime_fraction", "trace_sampled", "disable_shadow_host_suffix_append"); err != nil {
			return nil, strict.AtIndex("request_mirror_policies", i, err)
		}
		m := Mirror{cluster: p.GetCluster(), header: strings.ToLower(p.GetClusterHeader()), fraction: match.Everything, suffix: !p.GetDisableShadowHostSuffixAppend()}
		if (m.cluster == "") == (m.header == "") {
			return nil, strict.AtIndex("request_mirror_policies", i, strict.Errorf("cluster", "want this or cluster_header"))
		}
		if f := p.GetRuntimeFraction(); f != nil {
			if m.fraction, err = match.CompileRuntimeFraction(f); err != nil {
				return nil, strict.AtIndex("request_mirror_policies", i, strict.At("runtime_fraction", err))
			}
		}
		out = append(out, m)
	}
	return out, nil
}
