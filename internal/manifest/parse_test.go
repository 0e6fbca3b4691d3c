package manifest

import (
	"strings"
	"testing"
)

func TestParseList(t *testing.T) {
	objs, err := parse([]byte("---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n"))
	if err != nil || len(objs) != 2 || objs[1].GetName() != "b" {
		t.Errorf("%v, %v", objs, err)
	}
	if _, err := parse([]byte("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret}]\n")); err == nil || !strings.Contains(err.Error(), "items[0]") {
		t.Errorf("an item without a name: %v", err)
	}
}

func TestParseRefusesRepeatedKeys(t *testing.T) {
	_, err := parse([]byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec:\n  action: DENY\n  action: ALLOW\n"))
	if err == nil || !strings.Contains(err.Error(), `line 10: "action"`) {
		t.Errorf("%v: want line and key", err)
	}
}
