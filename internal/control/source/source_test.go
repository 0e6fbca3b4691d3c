package source

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	fakes "k8s.io/client-go/tools/cache/testing"
)

func policyObject(name string, generation int64, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.istio.io/v1alpha1", "kind": "Policy", "spec": spec,
		"metadata": map[string]any{"name": name, "namespace": "tutorial", "uid": "u-" + name,
			"managedFields": []any{map[string]any{"manager": "kubectl"}}},
	}}
	u.SetGeneration(generation)
	return u
}

// TestRun drives the informers by sources that a test controls: the first
// snapshot has everything, a change of status alone makes none, an object that
// cannot be decoded stops nothing.
func TestRun(t *testing.T) {
	defer goleak.VerifyNone(t)
	var ks []kind
	sources := map[string]*fakes.FakeControllerSource{}
	for _, k := range kinds() {
		if k.resource.Resource == "policies" || k.resource.Resource == "services" {
			ks = append(ks, k)
			sources[k.resource.Resource] = fakes.NewFakeControllerSource()
		}
	}
	policies := sources["policies"]
	policies.Add(policyObject("a", 1, map[string]any{"origin_is_optional": true}))
	policies.Add(policyObject("b", 1, map[string]any{"unheardOf": true}))

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := make(chan *Snapshot)
	done := make(chan error, 1)
	go func() {
		done <- watchAll(ctx, Options{Log: slog.New(slog.DiscardHandler)}, ks,
			func(k kind) (cache.ListerWatcher, runtime.Object) {
				if k.custom {
					return sources[k.resource.Resource], &unstructured.Unstructured{}
				}
				return sources[k.resource.Resource], example(k)
			},
			func(s *Snapshot) {
				select {
				case got <- s:
				case <-ctx.Done():
				}
			})
	}()
	next := func() *Snapshot {
		t.Helper()
		select {
		case s := <-got:
			return s
		case <-ctx.Done():
			t.Fatal("no snapshot")
			return nil
		}
	}

	first := next()
	if len(first.Policies) != 1 || !first.Policies[0].Spec.OriginIsOptional || len(first.Undecodable) != 1 {
		t.Fatalf("first snapshot: %d policies, %d undecodable", len(first.Policies), len(first.Undecodable))
	}
	if first.Generation != 1 || first.Policies[0].ManagedFields != nil {
		t.Errorf("generation %d, managed fields %v", first.Generation, first.Policies[0].ManagedFields)
	}

	status := policyObject("a", 1, map[string]any{"origin_is_optional": true})
	status.Object["status"] = map[string]any{"observedGeneration": int64(1)}
	policies.Modify(status)
	policies.Modify(policyObject("b", 2, map[string]any{}))
	second := next()
	if len(second.Policies) != 2 || len(second.Undecodable) != 0 {
		t.Fatalf("second snapshot: %d policies, %d undecodable", len(second.Policies), len(second.Undecodable))
	}
	if second.Policies[0] != first.Policies[0] {
		t.Error("a change of status made another object")
	}
	policies.Modify(status.DeepCopy())
	policies.Delete(policyObject("b", 2, nil))
	if third := next(); third.Generation != 3 || len(third.Policies) != 1 {
		t.Errorf("third snapshot: generation %d with %d policies", third.Generation, len(third.Policies))
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, s := range sources {
		s.Shutdown()
	}
}

// manual is a clock that a test moves.
type manual struct {
	now   time.Time
	after chan chan time.Time
}

func (m *manual) Now() time.Time { return m.now }
func (m *manual) After(time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	m.after <- c
	return c
}

func TestDebounceEnds(t *testing.T) {
	clock := &manual{now: time.Unix(0, 0), after: make(chan chan time.Time, 10)}
	changed := make(chan struct{}, 1)
	done := make(chan bool)
	changed <- struct{}{}
	go func() { done <- debounce(t.Context(), clock, changed, 5*time.Millisecond, 25*time.Millisecond) }()
	<-clock.after
	clock.now = clock.now.Add(24 * time.Millisecond)
	changed <- struct{}{}
	<-clock.after
	clock.now = clock.now.Add(2 * time.Millisecond) // beyond the most, though it is not quiet
	changed <- struct{}{}
	if !<-done {
		t.Error("it did not end")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if debounce(ctx, clock, changed, time.Second, time.Second) {
		t.Error("a snapshot after the end")
	}
}

func TestSameCore(t *testing.T) {
	a, b := example(kindOf("services")), example(kindOf("services"))
	am, bm := a.(metav1.Object), b.(metav1.Object)
	am.SetResourceVersion("1")
	bm.SetResourceVersion("2")
	if !sameCore(am, bm) {
		t.Error("another resource version alone is a change")
	}
	bm.SetLabels(map[string]string{"a": "b"})
	if sameCore(am, bm) {
		t.Error("other labels are none")
	}
}
