// Package origin says where the resources that a configuration names may come from, and
// keeps names of one source apart from those of another. It fetches none: package xds
// does.
package origin

//lint:file-ignore SA1019 the older version is named to be refused, the older field is taken

import (
	"fmt"
	"os"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Source is where resources come from. The zero Source is the control plane's one stream,
// ADS.
type Source struct {
	Path string // of a file that holds a DiscoveryResponse
	// Watched is the folder in which any move has the file read again; "": a move to Path.
	Watched string
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
	return "\x00" + n.Source.Path + "\x00" + n.Source.Watched + "\x00" + n.Name
}

// Parse gives the name that has that key.
func Parse(key string) Name {
	if !strings.HasPrefix(key, "\x00") {
		return Name{ADS, key}
	}
	if parts := strings.SplitN(key, "\x00", 4); len(parts) == 4 {
		return Name{Source{Path: parts[1], Watched: parts[2]}, parts[3]}
	}
	return Name{ADS, key}
}

// Of gives the source that a ConfigSource means; none means ADS.
func Of(c *corev3.ConfigSource) (s Source, err error) {
	if c == nil {
		return ADS, nil
	}
	if err := strict.Only(c, "ads", "path", "path_config_source", "resource_api_version"); err != nil {
		return s, err
	}
	if c.GetResourceApiVersion() == corev3.ApiVersion_V2 {
		return s, strict.Errorf("resource_api_version", "V2: %w", strict.ErrUnsupported)
	}
	switch c := c.GetConfigSourceSpecifier().(type) {
	case *corev3.ConfigSource_Ads:
		return ADS, strict.At("ads", strict.Only(c.Ads))
	case *corev3.ConfigSource_Path:
		s.Path = c.Path
		return s, strict.At("path", usable(s.Path))
	case *corev3.ConfigSource_PathConfigSource:
		s.Path, s.Watched, err = file(c.PathConfigSource)
		return s, strict.At("path_config_source", err)
	}
	return s, strict.Errorf("config_source_specifier", "missing")
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
