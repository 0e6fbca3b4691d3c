package manifest

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// programmedLimit is how long AwaitProgrammed waits; status itself answers within
// 10 s, with False if need be.
const programmedLimit = 15 * time.Second

// meshGroups are those whose objects have the condition Programmed.
var meshGroups = map[string]bool{
	"networking.istio.io": true, "security.istio.io": true, "authentication.istio.io": true,
}

// AwaitProgrammed waits until the mesh has said of every object whether it is in
// force. An object that is not gives an error with the mesh's own words.
func AwaitProgrammed(ctx context.Context, cfg *rest.Config, objs []Applied) error {
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, programmedLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, a := range objs {
		if !meshGroups[a.Object.GroupVersionKind().Group] {
			continue
		}
		rc := client.Resource(a.gvr).Namespace(a.Namespace)
		for {
			o, err := rc.Get(ctx, a.Name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("%s: %w", a, err)
			}
			done, err := programmed(o)
			if err != nil {
				return fmt.Errorf("%s: %w", a, err)
			}
			if done {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("%s: its status does not say that it is in force", a)
			}
		}
	}
	return nil
}

// programmed reads the conditions Accepted and Programmed of this generation.
func programmed(o *unstructured.Unstructured) (bool, error) {
	conds, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
	if err != nil {
		return false, err
	}
	for _, c := range conds {
		m, ok := c.(map[string]any)
		if !ok {
			continue
		}
		if gen, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration"); observed(m, gen) < o.GetGeneration() {
			continue
		}
		switch {
		case m["type"] == "Accepted" && m["status"] == "False",
			m["type"] == "Programmed" && m["status"] == "False":
			return false, fmt.Errorf("%v=False (%v): %v", m["type"], m["reason"], m["message"])
		case m["type"] == "Programmed" && m["status"] == "True":
			return true, nil
		}
	}
	return false, nil
}

func observed(cond map[string]any, otherwise int64) int64 {
	if g, ok := cond["observedGeneration"].(int64); ok {
		return g
	}
	return otherwise
}
