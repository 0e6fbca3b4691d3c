package tls

import (
	"crypto/tls"
	"testing"
)

// TestNames holds that logs name what was agreed as the configuration does, and that no two
// names of a table are of one suite or group.
func TestNames(t *testing.T) {
	for name, id := range suites {
		if got := CipherName(id); got != name {
			t.Errorf("%s is %q", name, got)
		}
	}
	for name, id := range groups {
		if got := GroupName(id); got != name {
			t.Errorf("%s is %q", name, got)
		}
	}
	for old, name := range oldGroups {
		if id, ok := groupOf(old); !ok || GroupName(id) != name {
			t.Errorf("%s is %q", old, GroupName(id))
		}
	}
	for id, name := range map[uint16]string{0: "", tls.TLS_AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256"} {
		if got := CipherName(id); got != name {
			t.Errorf("%x is %q, not %q", id, got, name)
		}
	}
}
