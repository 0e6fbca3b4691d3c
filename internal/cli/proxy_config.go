package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/internal/workload"
)

// sections of a proxy's configuration. Filters are those of the listeners.
var sections = []string{"listeners", "routes", "clusters", "endpoints", "filters", "secrets", "all"}

// singular are istioctl's names of the sections.
var singular = map[string]string{
	"listener": "listeners", "route": "routes", "cluster": "clusters", "endpoint": "endpoints", "secret": "secrets",
}

func newProxyConfigCmd() *cobra.Command {
	var namespace, output string
	cmd := &cobra.Command{
		Use:       "proxy-config WORKLOAD {" + strings.Join(sections, "|") + "}",
		Aliases:   []string{"pc"},
		Short:     "Show the configuration that a workload's proxy has",
		ValidArgs: sections,
		Args:      misuse(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, section := args[0], args[1]
			if long := singular[section]; long != "" {
				section = long
			}
			if !slices.Contains(sections, section) {
				return Exit(exitMisuse, fmt.Errorf("%q: must be one of %s", section, strings.Join(sections, ", ")))
			}
			if output != "" && output != "json" && output != "yaml" {
				return Exit(exitMisuse, fmt.Errorf("-o %q: must be json or yaml", output))
			}
			h, err := meshHome()
			if err != nil {
				return err
			}
			l, err := findWorkload(h, namespace, name)
			if err != nil {
				return err
			}
			if l.Spec.AdminSocket == "" {
				return fmt.Errorf("workload %q has no sidecar", name)
			}
			dump, err := configDump(cmd.Context(), l)
			if err != nil {
				return err
			}
			if output == "" {
				return printResources(cmd.OutOrStdout(), dump, section)
			}
			return printDump(cmd.OutOrStdout(), dump, section, output)
		},
	}
	namespaceFlag(cmd, &namespace)
	cmd.Flags().StringVarP(&output, "output", "o", "", "json or yaml (default: a table)")
	return cmd
}

// maxDump bounds the answer, in bytes.
const maxDump = 256 << 20

// configDump asks the proxy over its owner's socket.
func configDump(ctx context.Context, l *workload.Local) (map[string][]resource, error) {
	client := &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", l.Spec.AdminSocket)
		}},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://proxy/config_dump?include_eds", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the proxy of %s/%s does not answer: %w", l.Spec.Namespace, l.Spec.Name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDump))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the proxy of %s/%s: %s", l.Spec.Namespace, l.Spec.Name, bytes.TrimSpace(body))
	}
	dump, err := readDump(body)
	if err != nil {
		return nil, fmt.Errorf("the proxy of %s/%s: %w", l.Spec.Namespace, l.Spec.Name, err)
	}
	return dump, nil
}

// printDump prints what the proxy said, a section alone or all of them.
func printDump(out io.Writer, dump map[string][]resource, section, format string) error {
	var v any = dump
	switch section {
	case "all":
	case "filters":
		filters, err := httpFilters(dump["listeners"])
		if err != nil {
			return err
		}
		v = filters
	default:
		if v = dump[section]; dump[section] == nil {
			v = []resource{}
		}
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if format == "yaml" {
		if data, err = yaml.JSONToYAML(data); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s\n", bytes.TrimRight(data, "\n"))
	return err
}
