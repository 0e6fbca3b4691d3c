package builtin

import (
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func eventKind() *kind {
	return &kind{
		resource: schema.GroupResource{Resource: "events"},
		singular: "event",
		short:    []string{"ev"},
		new:      func() runtime.Object { return &corev1.Event{} },
		newList:  func() runtime.Object { return &corev1.EventList{} },
		name:     validation.NameIsDNSSubdomain,
		validate: func(o runtime.Object) field.ErrorList { return validateEvent(o.(*corev1.Event)) },
		fields:   func(o runtime.Object) fields.Set { return eventFields(o.(*corev1.Event)) },
		columns: []metav1.TableColumnDefinition{
			column("Last Seen", "string", "Time since it was last seen."),
			column("Type", "string", "Normal or Warning."),
			column("Reason", "string", "Why, in one word."),
			column("Object", "string", "What it is about."),
			wideColumn("Subobject", "string", "The part of the object."),
			wideColumn("Source", "string", "Who says so."),
			column("Message", "string", "What happened."),
			wideColumn("First Seen", "string", "Time since it was first seen."),
			wideColumn("Count", "string", "How often it was seen."),
			wideColumn("Name", "string", "The event's own name."),
		},
		row: func(o runtime.Object) []any { return eventRow(o.(*corev1.Event)) },
		ttl: uint64(time.Hour / time.Second),
	}
}

// validateEvent refuses an event that is not beside its object; events of objects
// without namespace are in default or kube-system.
func validateEvent(e *corev1.Event) (errs field.ErrorList) {
	about := e.InvolvedObject.Namespace
	if about != e.Namespace && (about != "" || e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem) {
		errs = append(errs, field.Invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace"))
	}
	if len(e.Message) > 1024 {
		errs = append(errs, field.TooLong(field.NewPath("message"), "", 1024))
	}
	if len(e.Reason) > 128 {
		errs = append(errs, field.TooLong(field.NewPath("reason"), "", 128))
	}
	return errs
}

func eventFields(e *corev1.Event) fields.Set {
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return fields.Set{
		"involvedObject.kind":            e.InvolvedObject.Kind,
		"involvedObject.namespace":       e.InvolvedObject.Namespace,
		"involvedObject.name":            e.InvolvedObject.Name,
		"involvedObject.uid":             string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         source,
		"type":                           e.Type,
	}
}

func eventRow(e *corev1.Event) []any {
	first, last, count := e.FirstTimestamp.Time, e.LastTimestamp.Time, e.Count
	if first.IsZero() {
		first = e.EventTime.Time
	}
	if e.Series != nil {
		last, count = e.Series.LastObservedTime.Time, e.Series.Count
	}
	if last.IsZero() {
		last = first
	}
	if count == 0 {
		count = 1
	}
	since := func(t time.Time) string {
		if t.IsZero() {
			return "<unknown>"
		}
		return duration.HumanDuration(time.Since(t))
	}
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return []any{since(last), e.Type, e.Reason, strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name,
		e.InvolvedObject.FieldPath, source, e.Message, since(first), strconv.Itoa(int(count)), e.Name}
}
