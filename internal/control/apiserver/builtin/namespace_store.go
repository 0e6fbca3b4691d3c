package builtin

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// namespaces is the REST endpoint of Namespace. Delete only marks a namespace that
// has finalizers; when a finalize request takes the last one, it goes. A collection
// of namespaces cannot be deleted in one request.
type namespaces struct{ objects *objects }

var (
	_ rest.Patcher         = &namespaces{}
	_ rest.Creater         = &namespaces{}
	_ rest.Lister          = &namespaces{}
	_ rest.Watcher         = &namespaces{}
	_ rest.GracefulDeleter = &namespaces{}
)

func newNamespaces(o *objects) *namespaces {
	o.ShouldDeleteDuringUpdate = func(ctx context.Context, key string, obj, existing runtime.Object) bool {
		return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0 && registry.ShouldDeleteDuringUpdate(ctx, key, obj, existing)
	}
	return &namespaces{objects: o}
}

func (n *namespaces) New() runtime.Object     { return n.objects.New() }
func (n *namespaces) NewList() runtime.Object { return n.objects.NewList() }
func (n *namespaces) Destroy()                { n.objects.Destroy() }
func (n *namespaces) NamespaceScoped() bool   { return false }
func (n *namespaces) GetSingularName() string { return n.objects.GetSingularName() }
func (n *namespaces) ShortNames() []string    { return n.objects.ShortNames() }

func (n *namespaces) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return n.objects.GetResetFields()
}

func (n *namespaces) ConvertToTable(ctx context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	return n.objects.ConvertToTable(ctx, obj, o)
}

func (n *namespaces) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return n.objects.Get(ctx, name, o)
}

func (n *namespaces) List(ctx context.Context, o *metainternal.ListOptions) (runtime.Object, error) {
	return n.objects.List(ctx, o)
}

func (n *namespaces) Watch(ctx context.Context, o *metainternal.ListOptions) (watch.Interface, error) {
	return n.objects.Watch(ctx, o)
}

func (n *namespaces) Create(ctx context.Context, obj runtime.Object, v rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	return n.objects.Create(ctx, obj, v, o)
}

func (n *namespaces) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, force bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return n.objects.Update(ctx, name, obj, create, update, force, o)
}

func (n *namespaces) Delete(ctx context.Context, name string, check rest.ValidateObjectFunc, o *metav1.DeleteOptions) (runtime.Object, bool, error) {
	got, err := n.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	ns := got.(*corev1.Namespace)
	if o == nil {
		o = metav1.NewDeleteOptions(0)
	}
	if o.Preconditions == nil {
		o.Preconditions = &metav1.Preconditions{}
	}
	if o.Preconditions.UID == nil {
		o.Preconditions.UID = &ns.UID
	} else if *o.Preconditions.UID != ns.UID {
		return nil, false, apierrors.NewConflict(n.objects.kind.resource, name, storage.NewInvalidObjError(name, "another namespace of this name"))
	}
	if !ns.DeletionTimestamp.IsZero() && len(ns.Spec.Finalizers) > 0 {
		return ns, false, nil // ends already
	}
	if ns.DeletionTimestamp.IsZero() {
		marked, err := n.mark(ctx, ns, check, o)
		if err != nil || len(marked.Spec.Finalizers) > 0 {
			return marked, false, err
		}
	}
	return n.objects.Delete(ctx, name, check, o)
}

// mark sets what says that a namespace ends.
func (n *namespaces) mark(ctx context.Context, ns *corev1.Namespace, check rest.ValidateObjectFunc, o *metav1.DeleteOptions) (*corev1.Namespace, error) {
	key, err := n.objects.KeyFunc(ctx, ns.Name)
	if err != nil {
		return nil, err
	}
	out := &corev1.Namespace{}
	pre := storage.Preconditions{UID: o.Preconditions.UID, ResourceVersion: o.Preconditions.ResourceVersion}
	update := storage.SimpleUpdate(func(existing runtime.Object) (runtime.Object, error) {
		e := existing.(*corev1.Namespace)
		if err := check(ctx, existing); err != nil {
			return nil, err
		}
		if e.DeletionTimestamp.IsZero() {
			now := metav1.Now()
			e.DeletionTimestamp = &now
		}
		e.Status.Phase = corev1.NamespaceTerminating
		// The API's own finalizer of metadata would keep it for a collector that is
		// not here.
		e.Finalizers = slices.DeleteFunc(e.Finalizers, func(f string) bool {
			return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
		})
		return e, nil
	})
	err = n.objects.Storage.GuaranteedUpdate(ctx, key, out, false, &pre, update, dryrun.IsDryRun(o.DryRun), nil)
	if err != nil {
		if _, ok := err.(*apierrors.StatusError); !ok {
			err = storeerr.InterpretUpdateError(err, n.objects.kind.resource, ns.Name)
		}
		return nil, err
	}
	return out, nil
}

// finalizeStrategy lets namespaces/finalize change the finalizers of spec and
// nothing else.
type finalizeStrategy struct{ strategy }

func (s finalizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	n, o := obj.(*corev1.Namespace), old.(*corev1.Namespace)
	n.Status = o.Status
	n.Labels, n.Annotations = o.Labels, o.Annotations
}

// newFinalize is the subresource namespaces/finalize.
func newFinalize(o *objects, st strategy) *status {
	store := *o.Store
	store.CreateStrategy, store.DeleteStrategy = nil, nil
	store.UpdateStrategy = finalizeStrategy{st}
	store.ResetFieldsStrategy = finalizeStrategy{st}
	return &status{store: &store}
}
