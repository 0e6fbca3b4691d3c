package apiserver

import (
	"runtime"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/util/compatibility"
	basecompatibility "k8s.io/component-base/compatibility"
)

// effectiveVersion is the version of the Kubernetes modules that are linked in. The
// libraries read theirs from linker flags, without which kubectl cannot parse it.
type effectiveVersion struct {
	basecompatibility.EffectiveVersion
}

func newVersion() basecompatibility.EffectiveVersion {
	return effectiveVersion{compatibility.DefaultBuildEffectiveVersion()}
}

// Info is what /version answers.
func (effectiveVersion) Info() *version.Info {
	return &version.Info{
		Major:        "1",
		Minor:        "37",
		GitVersion:   "v1.37.2+usher",
		GitTreeState: "clean",
		GoVersion:    runtime.Version(),
		Compiler:     runtime.Compiler,
		Platform:     runtime.GOOS + "/" + runtime.GOARCH,
	}
}
