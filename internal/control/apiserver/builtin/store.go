package builtin

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// objects is the REST endpoint of a kind.
type objects struct {
	*registry.Store
	kind *kind
}

var (
	_ rest.ShortNamesProvider = &objects{}
	_ rest.CategoriesProvider = &objects{}
	_ rest.StandardStorage    = &objects{}
)

func (o *objects) ShortNames() []string { return o.kind.short }
func (o *objects) Categories() []string { return o.kind.categories }

func newObjects(k *kind, scheme *runtime.Scheme, options generic.RESTOptionsGetter) (*objects, strategy, error) {
	gvk, err := kindOf(scheme, k.new())
	if err != nil {
		return nil, strategy{}, err
	}
	st := strategy{
		ObjectTyper:   scheme,
		NameGenerator: names.SimpleNameGenerator,
		kind:          k,
		version:       fieldpath.APIVersion(gvk.GroupVersion().String()),
	}
	singular := k.resource
	singular.Resource = k.singular
	s := &registry.Store{
		NewFunc:                   k.new,
		NewListFunc:               k.newList,
		DefaultQualifiedResource:  k.resource,
		SingularQualifiedResource: singular,
		CreateStrategy:            st,
		UpdateStrategy:            st,
		DeleteStrategy:            st,
		ResetFieldsStrategy:       st,
		TableConvertor:            table{k},
	}
	s.PredicateFunc = func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
		return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: k.getAttrs}
	}
	if k.ttl > 0 {
		s.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return k.ttl, nil }
	}
	if err := s.CompleteWithOptions(&generic.StoreOptions{RESTOptions: options, AttrFunc: k.getAttrs}); err != nil {
		return nil, strategy{}, err
	}
	return &objects{Store: s, kind: k}, st, nil
}

func (k *kind) getAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	m, ok := obj.(metav1.Object)
	if !ok {
		return nil, nil, fmt.Errorf("%T is not an object of the API", obj)
	}
	return m.GetLabels(), k.attributes(obj), nil
}

// status is the status subresource of a kind: the same store with another way to
// update.
type status struct{ store *registry.Store }

var _ rest.Patcher = &status{}

func newStatus(o *objects, st strategy) *status {
	store := *o.Store
	store.CreateStrategy = nil
	store.DeleteStrategy = nil
	store.UpdateStrategy = statusStrategy{st}
	store.ResetFieldsStrategy = statusStrategy{st}
	return &status{store: &store}
}

func (s *status) New() runtime.Object { return s.store.New() }

// Destroy does nothing: the store is that of the object itself.
func (s *status) Destroy() {}

func (s *status) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, o)
}

func (s *status) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, obj, create, update, false, o)
}

func (s *status) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.store.GetResetFields()
}

func (s *status) ConvertToTable(ctx context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, obj, o)
}
