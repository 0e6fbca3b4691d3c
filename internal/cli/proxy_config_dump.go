package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// resource is one entry of the proxy's configuration.
type resource struct {
	Name    string          `json:"name"`
	Version string          `json:"version,omitempty"`
	Error   string          `json:"error,omitempty"`   // why its last version is refused
	Waiting bool            `json:"waiting,omitempty"` // for what it needs
	Config  json.RawMessage `json:"config,omitempty"`
}

// dumped are the lists of Envoy's ConfigDump: the section that each belongs to, and the
// field that holds a resource.
var dumped = []struct{ list, section, field string }{
	{"static_clusters", "clusters", "cluster"},
	{"dynamic_active_clusters", "clusters", "cluster"},
	{"dynamic_warming_clusters", "clusters", "cluster"},
	{"static_endpoint_configs", "endpoints", "endpoint_config"},
	{"dynamic_endpoint_configs", "endpoints", "endpoint_config"},
	{"static_listeners", "listeners", "listener"},
	{"dynamic_listeners", "listeners", "listener"},
	{"static_route_configs", "routes", "route_config"},
	{"dynamic_route_configs", "routes", "route_config"},
	{"dynamic_active_secrets", "secrets", "secret"},
	{"dynamic_warming_secrets", "secrets", "secret"},
}

// entry is an element of such a list.
type entry struct {
	Name    string                     `json:"name"`
	Version string                     `json:"version_info"`
	Active  map[string]json.RawMessage `json:"active_state"`
	Warming map[string]json.RawMessage `json:"warming_state"`
	Error   *struct {
		Details string `json:"details"`
	} `json:"error_state"`
}

// readDump gives the resources of a ConfigDump by section, in the order of their names.
func readDump(text []byte) (map[string][]resource, error) {
	var all struct {
		Configs []map[string]json.RawMessage `json:"configs"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	out := map[string][]resource{}
	for _, d := range dumped {
		for _, c := range all.Configs {
			var list []json.RawMessage
			if c[d.list] == nil {
				continue
			}
			if err := json.Unmarshal(c[d.list], &list); err != nil {
				return nil, fmt.Errorf("%s: %w", d.list, err)
			}
			for _, text := range list {
				r, err := readResource(text, d.field)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", d.list, err)
				}
				r.Waiting = r.Waiting || d.list == "dynamic_warming_clusters" || d.list == "dynamic_warming_secrets"
				out[d.section] = append(out[d.section], r)
			}
		}
	}
	for _, l := range out {
		slices.SortStableFunc(l, func(a, b resource) int { return cmp.Compare(a.Name, b.Name) })
	}
	return out, nil
}

func readResource(text json.RawMessage, field string) (resource, error) {
	var e entry
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &e); err != nil {
		return resource{}, err
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		return resource{}, err
	}
	r := resource{Name: e.Name, Version: e.Version, Waiting: e.Warming != nil, Config: fields[field]}
	for _, state := range []map[string]json.RawMessage{e.Warming, e.Active} {
		if state != nil {
			r.Config = state[field]
			_ = json.Unmarshal(state["version_info"], &r.Version) // a listener that came over xDS has one
		}
	}
	if e.Error != nil {
		r.Error = e.Error.Details
	}
	var named struct {
		Name        string `json:"name"`
		ClusterName string `json:"cluster_name"`
	}
	if len(r.Config) > 0 {
		if err := json.Unmarshal(r.Config, &named); err != nil {
			return r, err
		}
	}
	r.Name = cmp.Or(r.Name, named.Name, named.ClusterName)
	return r, nil
}
