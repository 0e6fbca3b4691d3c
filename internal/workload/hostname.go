package workload

import (
	"crypto/sha256"
	"encoding/hex"

	"k8s.io/apimachinery/pkg/util/rand"
)

// hostname is what a pod of a Deployment would be called:
// <service>-<version>-<replica set>-<pod>, in Kubernetes' safe alphabet.
func hostname(service, version string) string {
	return service + "-" + version + "-" + rand.String(9) + "-" + rand.String(5)
}

// shortName is a file name for a socket, whose whole path has 107 bytes at most.
func shortName(s string) string {
	h := sha256.Sum256([]byte(s))
	return "w" + hex.EncodeToString(h[:6])
}
