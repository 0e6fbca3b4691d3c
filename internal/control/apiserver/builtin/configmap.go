package builtin

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxData bounds the values of a ConfigMap or Secret, in bytes.
const maxData = 1 << 20

func configMapKind() *kind {
	return &kind{
		resource: schema.GroupResource{Resource: "configmaps"},
		singular: "configmap",
		short:    []string{"cm"},
		new:      func() runtime.Object { return &corev1.ConfigMap{} },
		newList:  func() runtime.Object { return &corev1.ConfigMapList{} },
		name:     validation.NameIsDNSSubdomain,
		validate: func(o runtime.Object) field.ErrorList { return validateConfigMap(o.(*corev1.ConfigMap)) },
		validateUpdate: func(o, old runtime.Object) field.ErrorList {
			return immutableConfigMap(o.(*corev1.ConfigMap), old.(*corev1.ConfigMap))
		},
		columns: []metav1.TableColumnDefinition{column("Data", "integer", "Number of keys.")},
		row: func(o runtime.Object) []any {
			c := o.(*corev1.ConfigMap)
			return []any{int64(len(c.Data) + len(c.BinaryData))}
		},
	}
}

func validateConfigMap(c *corev1.ConfigMap) (errs field.ErrorList) {
	size := 0
	for _, k := range slices.Sorted(maps.Keys(c.Data)) {
		size += len(c.Data[k])
		errs = append(errs, dataKey(field.NewPath("data"), k)...)
		if _, ok := c.BinaryData[k]; ok {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(k), k, "duplicate of key present in binaryData"))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.BinaryData)) {
		size += len(c.BinaryData[k])
		errs = append(errs, dataKey(field.NewPath("binaryData"), k)...)
	}
	if size > maxData {
		errs = append(errs, field.TooLong(field.NewPath(""), "", maxData))
	}
	return errs
}

func dataKey(p *field.Path, key string) (errs field.ErrorList) {
	for _, why := range utilvalidation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(p.Key(key), key, why))
	}
	return errs
}

const isImmutable = "field is immutable when `immutable` is set"

func immutableConfigMap(c, old *corev1.ConfigMap) (errs field.ErrorList) {
	if old.Immutable == nil || !*old.Immutable {
		return nil
	}
	if c.Immutable == nil || !*c.Immutable {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), isImmutable))
	}
	if !maps.Equal(c.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), isImmutable))
	}
	if !maps.EqualFunc(c.BinaryData, old.BinaryData, bytes.Equal) {
		errs = append(errs, field.Forbidden(field.NewPath("binaryData"), isImmutable))
	}
	return errs
}

// missing is an error for each of the keys that a Secret's type asks for.
func missing(data map[string][]byte, keys ...string) (errs field.ErrorList) {
	for _, k := range keys {
		if _, ok := data[k]; !ok {
			errs = append(errs, field.Required(field.NewPath("data").Key(k), fmt.Sprintf("of %s", strings.Join(keys, ", "))))
		}
	}
	return errs
}
