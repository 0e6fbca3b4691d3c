package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// printResources prints a line a resource.
func printResources(out io.Writer, dump map[string][]resource, section string) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	filters, err := httpFilters(dump["listeners"])
	if err != nil {
		return err
	}
	switch section {
	case "filters":
		fmt.Fprintln(w, "LISTENER\tCHAIN\tFILTER")
		for _, f := range filters {
			fmt.Fprintf(w, "%s\t%s\t%s\n", f.Listener, f.Chain, f.Filter)
		}
		return w.Flush()
	case "secrets":
		printSecrets(w, dump["secrets"], time.Now())
		return w.Flush()
	}
	fmt.Fprintln(w, "KIND\tNAME\tVERSION\tSTATE")
	for _, kind := range sections {
		switch {
		case section != "all" && section != kind:
		case kind == "filters":
			for _, f := range filters {
				fmt.Fprintf(w, "%s\t%s\t\tin force\n", kind, strings.Join([]string{f.Listener, f.Chain, f.Filter}, "/"))
			}
		default:
			for _, r := range dump[kind] {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", kind, r.Name, r.Version, r.state())
			}
		}
	}
	return w.Flush()
}

// denied begins the reason where a proxy lets nothing pass instead of going on with the
// last good version.
const denied = "everything is denied: "

func (r resource) state() string {
	switch {
	case r.Error != "" && r.Version != "" && !strings.HasPrefix(r.Error, denied):
		return "refused, the last good one is in force: " + r.Error
	case r.Error != "":
		return "refused: " + r.Error
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

func httpFilters(list []resource) ([]httpFilter, error) {
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
