package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/internal/control/standalone"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
	"github.com/usher-mesh/usher/internal/workload"
)

// workloadStatus is one entry of `usher status -o json` and `-o yaml`.
type workloadStatus struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Service   string            `json:"service"`
	Version   string            `json:"version"`
	State     spec.Phase        `json:"state"`
	PID       int               `json:"pid"`
	Capture   string            `json:"capture"` // none, proxy
	Addresses addresses         `json:"addresses"`
	Config    config            `json:"config"`
	Gateway   map[string]string `json:"gateway,omitempty"` // port of the Gateway object -> address
	Message   string            `json:"message,omitempty"`
}

type addresses struct {
	App      []string `json:"app"`
	Inbound  []string `json:"inbound"`
	Outbound string   `json:"outbound"`
	Admin    string   `json:"admin"`
}

type config struct {
	Version string `json:"version"`
	Acked   bool   `json:"acked"`
}

func newStatusCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List the workloads of this machine and what they run with",
		Args:  misuse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" && output != "yaml" {
				return Exit(exitMisuse, fmt.Errorf("-o %q: must be json or yaml", output))
			}
			h, err := meshHome()
			if err != nil {
				return err
			}
			all, err := workload.List(h)
			if err != nil {
				return err
			}
			list := make([]workloadStatus, 0, len(all))
			for i := range all {
				list = append(list, statusOf(&all[i]))
			}
			switch output {
			case "json":
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(list)
			case "yaml":
				text, err := yaml.Marshal(list)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			up, err := standalone.ReadUp(h)
			if err != nil {
				return err
			}
			if up == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", h, errNotUp)
				if len(list) == 0 {
					return nil
				}
			}
			return printStatus(cmd.OutOrStdout(), list)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json or yaml (default: a table)")
	return cmd
}

func statusOf(l *workload.Local) workloadStatus {
	s := l.Spec
	st := workloadStatus{
		Name: s.Name, Namespace: s.Namespace, Service: s.Service, Version: s.Version,
		State: spec.Starting, Capture: "proxy",
		Addresses: addresses{App: []string{}, Inbound: []string{}, Outbound: s.Outbound, Admin: s.Admin},
	}
	if s.NoSidecar || s.Kind == spec.Gateway {
		st.Capture = "none"
	}
	for _, p := range s.Ports {
		st.Addresses.App = append(st.Addresses.App, p.App)
		if p.Inbound != "" {
			st.Addresses.Inbound = append(st.Addresses.Inbound, p.Inbound)
		}
	}
	if l.State != nil {
		st.State, st.PID, st.Message = l.State.State, l.State.SupervisorPID, l.State.Message
		st.Config = config{l.State.ConfigVersion, l.State.Acked}
		if !l.Alive {
			st.State, st.PID = spec.Stopped, 0
		}
	}
	if s.Kind == spec.Gateway {
		st.Gateway = gatewayAddresses(l)
	}
	return st
}

func printStatus(out io.Writer, list []workloadStatus) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAMESPACE\tWORKLOAD\tSTATE\tPID\tINBOUND\tCONFIG")
	for _, s := range list {
		inbound := ""
		for _, a := range s.Addresses.Inbound {
			inbound += a + " "
		}
		for _, p := range sortedKeys(s.Gateway) {
			inbound += p + "=" + s.Gateway[p] + " "
		}
		cfg := s.Config.Version
		if s.Config.Acked {
			cfg += " (current)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", s.Namespace, s.Name, s.State, s.PID, inbound, cfg)
	}
	return w.Flush()
}
