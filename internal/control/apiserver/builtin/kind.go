package builtin

import (
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// kind is what sets one built-in kind apart from another. Functions that are nil do
// nothing.
type kind struct {
	resource   schema.GroupResource // plural
	singular   string
	short      []string
	categories []string
	cluster    bool // not in a namespace
	new        func() runtime.Object
	newList    func() runtime.Object

	// name says what is wrong with a metadata.name.
	name validation.ValidateNameFunc
	// prepareCreate clears what a client may not set.
	prepareCreate func(obj runtime.Object)
	// prepareUpdate carries over from old what a client may not change.
	prepareUpdate func(obj, old runtime.Object)
	validate      func(obj runtime.Object) field.ErrorList
	// validateUpdate adds to validate what compares with old.
	validateUpdate func(obj, old runtime.Object) field.ErrorList
	// prepareStatus leaves obj with old's everything but status; nil means that the
	// kind has no status subresource.
	prepareStatus func(obj, old runtime.Object)
	// fields are the field selectors beyond metadata.name and metadata.namespace.
	fields func(obj runtime.Object) fields.Set
	// columns and row are the kind's table, after the column Name and before Age.
	columns []metav1.TableColumnDefinition
	row     func(obj runtime.Object) []any
	// wide are columns after Age.
	wide    []metav1.TableColumnDefinition
	wideRow func(obj runtime.Object) []any
	// ttl is the life of an object in seconds, 0 for ever.
	ttl uint64
}

func kinds() []*kind {
	return []*kind{namespaceKind(), serviceKind(), secretKind(), configMapKind(), serviceAccountKind(), eventKind(), endpointSliceKind()}
}

// attributes are an object's values for field selectors.
func (k *kind) attributes(obj runtime.Object) fields.Set {
	set := fields.Set{}
	if k.fields != nil {
		set = k.fields(obj)
	}
	m := obj.(metav1.Object)
	set["metadata.name"] = m.GetName()
	if !k.cluster {
		set["metadata.namespace"] = m.GetNamespace()
	}
	return set
}

func column(name, typ, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: typ, Description: description}
}

func wideColumn(name, typ, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: typ, Description: description, Priority: 1}
}
