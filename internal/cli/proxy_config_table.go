package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// printResources prints a line a resource.
func printResources(out io.Writer, dump map[string]json.RawMessage, section string) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	if section == "filters" {
		filters, err := httpFilters(dump["listeners"])
		if err != nil {
			return err
		}
		fmt.Fprintln(w, "LISTENER\tCHAIN\tFILTER")
		for _, f := range filters {
			fmt.Fprintf(w, "%s\t%s\t%s\n", f.Listener, f.Chain, f.Filter)
		}
		return w.Flush()
	}
	fmt.Fprintln(w, "KIND\tNAME\tVERSION\tSTATE")
	for _, kind := range sections {
		raw, ok := dump[kind]
		if !ok {
			continue
		}
		var list []resource
		if err := json.Unmarshal(raw, &list); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		for _, r := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", kind, r.Name, r.Version, r.state())
		}
	}
	return w.Flush()
}

func (r resource) state() string {
	switch {
	case r.Error != "" && r.Denied:
		return "refused, denies: " + r.Error
	case r.Error != "":
		return "refused, the last good one is in force: " + r.Error
	case r.Waiting:
		return "waiting"
	}
	return "in force"
}

// httpFilter is one HTTP filter of a filter chain, in the order that requests see.
type httpFilter struct {
	Listener string          `json:"listener"`
	Chain    string          `json:"chain"`
	Filter   string          `json:"filter"`
	Config   json.RawMessage `json:"config,omitempty"`
}

func httpFilters(listeners json.RawMessage) ([]httpFilter, error) {
	var list []resource
	if err := json.Unmarshal(listeners, &list); err != nil {
		return nil, fmt.Errorf("listeners: %w", err)
	}
	filters := []httpFilter{}
	for _, l := range list {
		var c struct {
			Chains []struct {
				Name    string `json:"name"`
				Filters []struct {
					Config struct {
						HTTP []struct {
							Name   string          `json:"name"`
							Config json.RawMessage `json:"typed_config"`
						} `json:"http_filters"`
					} `json:"typed_config"`
				} `json:"filters"`
			} `json:"filter_chains"`
		}
		if len(l.Config) == 0 {
			continue
		}
		if err := json.Unmarshal(l.Config, &c); err != nil {
			return nil, fmt.Errorf("listener %s: %w", l.Name, err)
		}
		for _, chain := range c.Chains {
			for _, f := range chain.Filters {
				for _, h := range f.Config.HTTP {
					filters = append(filters, httpFilter{l.Name, chain.Name, h.Name, h.Config})
				}
			}
		}
	}
	return filters, nil
}
