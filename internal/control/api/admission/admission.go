// Package admission judges one custom resource at a time, after its schema did:
// what a schema cannot say is refused here, with the path of the field and its
// value. Values that may be secrets (key sets, user information in URIs) are never
// part of an error. It knows nothing of other objects, clusters or HTTP.
//
// The rules are those of Istio's validation (pkg/config/validation) where Istio has
// one, as far as a bad object would otherwise be without effect or be taken for
// something else than its author meant.
package admission

import (
	"cmp"
	"encoding/json"
	"errors"
	"reflect"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/usher-mesh/usher/internal/control/api/authentication/v1alpha1"
)

// Validate gives the errors of obj. old is the object that it replaces, nil on
// create. An object that is being deleted and one whose spec has not changed are not
// judged, so that finalizers, labels and status can always be written.
func Validate(obj, old *unstructured.Unstructured) field.ErrorList {
	if obj == nil || obj.GetDeletionTimestamp() != nil {
		return nil
	}
	if old != nil && reflect.DeepEqual(obj.Object["spec"], old.Object["spec"]) {
		return nil
	}
	if check := checks[obj.GroupVersionKind().GroupKind().String()]; check != nil {
		errs := check(obj)
		slices.SortStableFunc(errs, func(a, b *field.Error) int { return cmp.Compare(a.Field, b.Field) })
		return errs
	}
	return nil
}

// checks is the rule set of each kind, in any of its versions.
var checks = map[string]func(*unstructured.Unstructured) field.ErrorList{
	"Gateway.networking.istio.io":             judge(gateway),
	"VirtualService.networking.istio.io":      judge(virtualService),
	"DestinationRule.networking.istio.io":     judge(destinationRule),
	"ServiceEntry.networking.istio.io":        judge(serviceEntry),
	"WorkloadEntry.networking.istio.io":       judge(workloadEntrySpec),
	"WorkloadGroup.networking.istio.io":       judge(workloadGroup),
	"Sidecar.networking.istio.io":             judge(sidecar),
	"RequestAuthentication.security.istio.io": judge(requestAuthentication),
	"AuthorizationPolicy.security.istio.io":   judge(authorizationPolicy),
	"PeerAuthentication.security.istio.io":    judge(peerAuthentication),
	"Policy.authentication.istio.io":          judge(policy),
	"MeshPolicy.authentication.istio.io":      judge(meshPolicy),
}

// specs are the Go types of a spec.
type specs interface {
	networking.Gateway | networking.VirtualService | networking.DestinationRule | networking.ServiceEntry |
		networking.WorkloadEntry | networking.WorkloadGroup | networking.Sidecar |
		security.RequestAuthentication | security.AuthorizationPolicy | security.PeerAuthentication |
		v1alpha1.PolicySpec
}

// subject is an object whose spec has been decoded.
type subject[T specs] struct {
	name string
	spec *T
	raw  any         // the spec as it came
	at   *field.Path // of the spec
}

// judge decodes the spec for a check. A spec that does not decode is refused: the
// control plane could not read it either.
func judge[T specs](check func(subject[T]) field.ErrorList) func(*unstructured.Unstructured) field.ErrorList {
	return func(obj *unstructured.Unstructured) field.ErrorList {
		at := field.NewPath("spec")
		s := subject[T]{name: obj.GetName(), spec: new(T), raw: obj.Object["spec"], at: at}
		if s.raw != nil {
			text, err := json.Marshal(s.raw)
			if err == nil {
				err = json.Unmarshal(text, s.spec)
			}
			if err != nil {
				return field.ErrorList{field.Invalid(at, omitted, unreadable(obj.GetKind(), err))}
			}
		}
		return check(s)
	}
}

// unreadable is the text for a spec that does not decode. Decoders quote what they
// read, so their text is left out where key sets may stand.
func unreadable(kind string, err error) string {
	if twice := (*v1alpha1.SpelledTwiceError)(nil); errors.As(err, &twice) {
		return twice.Error()
	}
	switch kind {
	case "RequestAuthentication", "Policy", "MeshPolicy":
		return "cannot be read as a " + kind
	}
	return "cannot be read as a " + kind + ": " + err.Error()
}

// omitted stands for a value that an error does not show.
var omitted = field.OmitValueType{}
