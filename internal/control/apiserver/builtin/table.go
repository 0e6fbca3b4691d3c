package builtin

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
)

// table prints a kind as kubectl get shows it.
type table struct{ kind *kind }

func (t table) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	out := &metav1.Table{}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		out.ColumnDefinitions = t.columns()
	}
	if list, ok := obj.(metav1.ListInterface); ok {
		out.ResourceVersion = list.GetResourceVersion()
		out.Continue = list.GetContinue()
		out.RemainingItemCount = list.GetRemainingItemCount()
	} else if one, ok := obj.(metav1.Object); ok {
		out.ResourceVersion = one.GetResourceVersion()
	}
	if !meta.IsListType(obj) {
		out.Rows = append(out.Rows, t.row(obj))
		return out, nil
	}
	err := meta.EachListItem(obj, func(o runtime.Object) error {
		out.Rows = append(out.Rows, t.row(o))
		return nil
	})
	return out, err
}

func (t table) columns() []metav1.TableColumnDefinition {
	if t.kind.resource.Resource == "events" {
		return t.kind.columns
	}
	name := metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: "The object's name."}
	return slices.Concat([]metav1.TableColumnDefinition{name}, t.kind.columns,
		[]metav1.TableColumnDefinition{column("Age", "string", "Time since the object was created.")}, t.kind.wide)
}

func (t table) row(obj runtime.Object) metav1.TableRow {
	row := metav1.TableRow{Object: runtime.RawExtension{Object: obj}}
	if t.kind.resource.Resource == "events" {
		row.Cells = t.kind.row(obj)
		return row
	}
	m := obj.(metav1.Object)
	row.Cells = append(row.Cells, m.GetName())
	if t.kind.row != nil {
		row.Cells = append(row.Cells, t.kind.row(obj)...)
	}
	row.Cells = append(row.Cells, age(m.GetCreationTimestamp()))
	if t.kind.wideRow != nil {
		row.Cells = append(row.Cells, t.kind.wideRow(obj)...)
	}
	return row
}

func age(t metav1.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t.Time))
}
