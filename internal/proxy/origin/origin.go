// Package origin says where the resources that a configuration names may come from, and
// keeps names of one source apart from those of another. It fetches none: package xds
// does.
package origin

//lint:file-ignore SA1019 the older version is named to be refused, the older field is taken

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Source is where resources come from. The zero Source is the control plane's one stream,
// ADS.
type Source struct {
	Path string // of a file that holds a DiscoveryResponse
	// Watched is the folder in which any move has the file read again; "": a move to Path.
	Watched string
	Cluster string // whose server is asked, by gRPC, with a stream for each type
	Delta   bool   // in the delta variant of the protocol
	// Within is how long those who need a resource wait for a server's first word of it; 0:
	// for ever.
	Within time.Duration
}

// ADS is the control plane's one stream.
var ADS = Source{}

// Name is a resource's in its source.
type Name struct {
	Source Source
	Name   string
}

// Key gives the text by which the resource is known beside those of other sources. Of ADS
// it is the name.
func (n Name) Key() string {
	if n.Source == ADS {
		return n.Name
	}
	variant := "world"
	if n.Source.Delta {
		variant = "delta"
	}
	return strings.Join([]string{"", n.Source.Path, n.Source.Watched, n.Source.Cluster, variant, n.Source.Within.String(), n.Name}, "\x00")
}

// Parse gives the name that has that key.
func Parse(key string) Name {
	if !strings.HasPrefix(key, "\x00") {
		return Name{ADS, key}
	}
	p := strings.SplitN(key, "\x00", 7)
	if len(p) < 7 {
		return Name{ADS, key}
	}
	within, _ := time.ParseDuration(p[5])
	return Name{Source{p[1], p[2], p[3], p[4] == "delta", within}, p[6]}
}

// Of gives the source that a ConfigSource means; none means ADS.
func Of(c *corev3.ConfigSource) (s Source, err error) {
	if c == nil {
		return ADS, nil
	}
	if err := strict.Only(c, "ads", "path", "path_config_source", "api_config_source", "initial_fetch_timeout", "resource_api_version"); err != nil {
		return s, err
	}
	if c.GetResourceApiVersion() == corev3.ApiVersion_V2 {
		return s, strict.Errorf("resource_api_version", "V2: %w", strict.ErrUnsupported)
	}
	switch from := c.GetConfigSourceSpecifier().(type) {
	case *corev3.ConfigSource_Ads:
		if c.GetInitialFetchTimeout() != nil {
			return s, strict.Errorf("initial_fetch_timeout", "of ADS: %w", strict.ErrUnsupported)
		}
		return ADS, strict.At("ads", strict.Only(from.Ads))
	case *corev3.ConfigSource_Path: // nobody waits for a file: it is there
		s.Path = from.Path
		return s, strict.At("path", usable(s.Path))
	case *corev3.ConfigSource_PathConfigSource:
		s.Path, s.Watched, err = file(from.PathConfigSource)
		return s, strict.At("path_config_source", err)
	case *corev3.ConfigSource_ApiConfigSource:
		if s.Cluster, s.Delta, err = Server(from.ApiConfigSource); err != nil {
			return s, strict.At("api_config_source", err)
		}
		s.Within, err = within(c.GetInitialFetchTimeout())
		return s, strict.At("initial_fetch_timeout", err)
	}
	return s, strict.Errorf("config_source_specifier", "missing")
}

// Server gives the cluster of a server of resources, and whether it speaks the delta variant
// of the protocol or that of the state of the world.
func Server(a *corev3.ApiConfigSource) (cluster string, delta bool, err error) {
	if err := strict.Only(a, "api_type", "transport_api_version", "grpc_services", "set_node_on_first_message_only"); err != nil {
		return "", false, err
	}
	switch t := a.GetApiType(); t {
	case corev3.ApiConfigSource_DELTA_GRPC:
		delta = true
	case corev3.ApiConfigSource_GRPC:
	default:
		return "", false, strict.Errorf("api_type", "%v: %w (want DELTA_GRPC or GRPC)", t, strict.ErrUnsupported)
	}
	if a.GetTransportApiVersion() == corev3.ApiVersion_V2 {
		return "", false, strict.Errorf("transport_api_version", "V2: %w (want V3)", strict.ErrUnsupported)
	}
	if len(a.GetGrpcServices()) != 1 {
		return "", false, strict.Errorf("grpc_services", "%d given, want one", len(a.GetGrpcServices()))
	}
	g := a.GetGrpcServices()[0]
	if err := strict.Only(g, "envoy_grpc"); err != nil {
		return "", false, strict.At("grpc_services[0]", err)
	}
	if err := strict.Only(g.GetEnvoyGrpc(), "cluster_name"); err != nil {
		return "", false, strict.At("grpc_services[0].envoy_grpc", err)
	}
	cluster = g.GetEnvoyGrpc().GetClusterName()
	if cluster == "" || strings.Contains(cluster, "\x00") {
		return "", false, strict.Errorf("grpc_services[0].envoy_grpc.cluster_name", "%q is not a name", cluster)
	}
	return cluster, delta, nil
}

// fetchTimeout is Envoy's default.
const fetchTimeout = 15 * time.Second

func within(d *durationpb.Duration) (time.Duration, error) {
	switch {
	case d == nil:
		return fetchTimeout, nil
	case d.CheckValid() != nil || d.AsDuration() < 0:
		return 0, errors.New("not a duration")
	}
	return d.AsDuration(), nil
}

func file(c *corev3.PathConfigSource) (path, watched string, err error) {
	if err := strict.Only(c, "path", "watched_directory"); err != nil {
		return "", "", err
	}
	if err := usable(c.GetPath()); err != nil {
		return "", "", strict.At("path", err)
	}
	if w := c.GetWatchedDirectory(); w != nil {
		if err := strict.Only(w, "path"); err != nil {
			return "", "", strict.At("watched_directory", err)
		}
		if w.GetPath() == "" || strings.Contains(w.GetPath(), "\x00") {
			return "", "", strict.Errorf("watched_directory.path", "%q is not a folder", w.GetPath())
		}
	}
	return c.GetPath(), c.GetWatchedDirectory().GetPath(), nil
}

// usable refuses, as Envoy does, a file whose folder is not named.
func usable(path string) error {
	if !strings.Contains(path, "/") || strings.Contains(path, "\x00") {
		return fmt.Errorf("%q does not name a file and its folder", path)
	}
	return nil
}

// Open is Of for a source that is about to be asked: a file that is not there is an error.
func Open(c *corev3.ConfigSource) (Source, error) {
	s, err := Of(c)
	if err != nil || s.Path == "" {
		return s, err
	}
	if _, err := os.Stat(s.Path); err != nil {
		if c.GetPathConfigSource() == nil {
			return s, strict.At("path", err)
		}
		return s, strict.At("path_config_source.path", err)
	}
	if s.Watched != "" {
		fi, err := os.Stat(s.Watched)
		if err == nil && !fi.IsDir() {
			err = fmt.Errorf("%s: not a folder", s.Watched)
		}
		return s, strict.At("path_config_source.watched_directory.path", err)
	}
	return s, nil
}
