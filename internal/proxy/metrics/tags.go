package metrics

import "regexp"

// tags are what Envoy takes out of the names of statistics, beside whose they are, and
// makes labels of.
var tags = []struct {
	label string
	in    *regexp.Regexp // the first group is what goes, the second the value
}{
	{"envoy_response_code_class", regexp.MustCompile(`_rq_(([1-5]))xx$`)},
	{"envoy_response_code", regexp.MustCompile(`_rq(_([0-9]{3}))$`)},
	{"envoy_listener_address", regexp.MustCompile(`^listener\.(([_.0-9]+|[_\[\]a-fA-F0-9]+)\.)http\.`)},
	// A service's name may have dots: Envoy takes what stands before the first for all of it.
	{"envoy_grpc_bridge_method", regexp.MustCompile(`^cluster\.grpc\.[\w.]+\.((\w+)\.)\w+$`)},
	{"envoy_grpc_bridge_service", regexp.MustCompile(`^cluster\.grpc\.(([\w.]+)\.)\w+$`)},
	{"envoy_http_conn_manager_prefix", regexp.MustCompile(`^http\.((.+)\.)rds\.[^.]+$`)},
	{"envoy_rbac_http_prefix", regexp.MustCompile(`^http\.rbac\.(([^.]+)\.).`)},
}

// untag gives a name without its tags, and these as labels.
func untag(name string) (string, []label) {
	var labels []label
	for _, t := range tags {
		if m := t.in.FindStringSubmatchIndex(name); m != nil {
			labels = append(labels, label{t.label, name[m[4]:m[5]]})
			name = name[:m[2]] + name[m[3]:]
		}
	}
	return name, labels
}
