package apiserver

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	webhookerrors "k8s.io/apiserver/pkg/admission/plugin/webhook/errors"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// webhookName is what a refusal is signed with: in a cluster the same validation
// would be a webhook of this name.
const webhookName = "validation.usher.io"

type validateFunc = func(ctx context.Context, obj, old *unstructured.Unstructured) field.ErrorList

// customResources is the admission plugin that judges by the schemas' rules and asks
// Options.Validate.
type customResources struct {
	rules    schemaRules
	validate validateFunc // nil admits everything
}

var _ admission.ValidationInterface = customResources{}

func (customResources) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update
}

func (c customResources) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "" {
		return nil // status is the server's own
	}
	obj, ok := a.GetObject().(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	// One that ends must be able to lose its finalizers, whatever it looks like.
	if obj.GetDeletionTimestamp() != nil {
		return nil
	}
	old, _ := a.GetOldObject().(*unstructured.Unstructured)
	if err := c.rules.judge(ctx, obj, old); err != nil || c.validate == nil {
		return err
	}
	errs := c.validate(ctx, obj, old)
	if len(errs) == 0 {
		return nil
	}
	return webhookerrors.ToStatusErr(webhookName, &metav1.Status{Message: errs.ToAggregate().Error(), Reason: metav1.StatusReasonBadRequest})
}

// newAdmission refuses objects in namespaces that do not exist or end, keeps the
// namespaces without which nothing works, and validates custom resources.
func newAdmission(client kubernetes.Interface, factory informers.SharedInformerFactory, own customResources) (admission.Interface, error) {
	l, err := lifecycle.NewLifecycle(sets.New(metav1.NamespaceDefault, rootNamespace))
	if err != nil {
		return nil, err
	}
	l.SetExternalKubeClientSet(client)
	l.SetExternalKubeInformerFactory(factory)
	if err := l.ValidateInitialization(); err != nil {
		return nil, err
	}
	return admission.NewChainHandler(l, own), nil
}
