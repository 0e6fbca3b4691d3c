package status

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/usher-mesh/usher/internal/mesh"
)

type job struct {
	ref     mesh.Ref
	uid     string
	outcome outcome
}

// result is what became of a job. Without an error there is nothing more to do
// for that outcome, whether it was written, there already, or out of date.
type result struct {
	job
	wrote bool
	err   error
}

// tries bounds how often a write is repeated at once because the object changed.
const tries = 4

func (w *Writer) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-w.jobs:
			wrote, err := w.write(ctx, j)
			select {
			case w.done <- result{job: j, wrote: wrote, err: err}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// write brings the outcome into the object's status, and leaves conditions of
// others alone. An object that is gone, or of which there is a newer generation,
// needs none.
func (w *Writer) write(ctx context.Context, j job) (wrote bool, err error) {
	gvr, ok := w.o.Resources[schema.GroupKind{Group: j.ref.Group, Kind: j.ref.Kind}]
	if !ok {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := w.o.Client.Resource(gvr).Namespace(j.ref.Namespace)
	for range tries {
		var obj *unstructured.Unstructured
		obj, err = client.Get(ctx, j.ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if string(obj.GetUID()) != j.uid || obj.GetGeneration() != j.outcome.generation {
			return false, nil
		}
		if !apply(obj, j.outcome, w.o.Now()) {
			return false, nil
		}
		_, err = client.UpdateStatus(ctx, obj, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if !apierrors.IsConflict(err) {
			return err == nil, err
		}
	}
	return false, err
}

// apply puts the outcome into obj's status and says whether that changed it.
func apply(obj *unstructured.Unstructured, o outcome, now time.Time) bool {
	old, _, _ := unstructured.NestedMap(obj.Object, "status")
	next := map[string]any{}
	for k, v := range old {
		next[k] = v
	}
	list, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	list = place(list, "Accepted", o.accepted, o.generation, now)
	if o.programmed.status != "" {
		list = place(list, "Programmed", o.programmed, o.generation, now)
	}
	next["conditions"] = list
	next["observedGeneration"] = o.generation
	if equality.Semantic.DeepEqual(old, next) {
		return false
	}
	obj.Object["status"] = next
	return true
}

// place puts a condition in its place. lastTransitionTime stays as long as the
// status does.
func place(list []any, kind string, c condition, generation int64, now time.Time) []any {
	next := map[string]any{
		"type": kind, "status": c.status, "reason": c.reason, "message": c.message,
		"observedGeneration": generation,
		"lastTransitionTime": now.UTC().Format(time.RFC3339),
	}
	for i, e := range list {
		m, ok := e.(map[string]any)
		if !ok || m["type"] != kind {
			continue
		}
		if m["status"] == c.status && m["lastTransitionTime"] != nil {
			next["lastTransitionTime"] = m["lastTransitionTime"]
		}
		list[i] = next
		return list
	}
	return append(list, next)
}
