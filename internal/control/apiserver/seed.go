package apiserver

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
)

// seedCRDs stores the CRDs that are missing, established from the beginning, before
// the server runs. Through the API each would be validated five times over, as one
// controller after another writes its status: two seconds of a first start.
func seedCRDs(ctx context.Context, options generic.RESTOptionsGetter, want []*apiextensionsv1.CustomResourceDefinition, now time.Time) error {
	if len(want) == 0 {
		return nil
	}
	store, err := customresourcedefinition.NewREST(extapiserver.Scheme, options)
	if err != nil {
		return err
	}
	defer store.Destroy()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, crd := range want {
		g.Go(func() error {
			if err := seedCRD(gctx, store, crd, now); err != nil {
				return fmt.Errorf("custom resource definition %s: %w", crd.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func seedCRD(ctx context.Context, store *customresourcedefinition.REST, crd *apiextensionsv1.CustomResourceDefinition, now time.Time) error {
	_, err := store.Get(ctx, crd.Name, &metav1.GetOptions{})
	if err == nil || !apierrors.IsNotFound(err) {
		return err
	}
	crd = crd.DeepCopy()
	crd.ResourceVersion = ""
	extapiserver.Scheme.Default(crd)
	obj := &apiextensions.CustomResourceDefinition{}
	if err := extapiserver.Scheme.Convert(crd, obj, nil); err != nil {
		return err
	}
	// What a create through the API does: clean, complete, validate.
	ctx = request.WithRequestInfo(request.WithNamespace(ctx, metav1.NamespaceNone), &request.RequestInfo{APIGroup: apiextensions.GroupName, APIVersion: "v1", Verb: "create"})
	rest.FillObjectMetaSystemFields(obj)
	if err := rest.BeforeCreate(customresourcedefinition.NewStrategy(extapiserver.Scheme), ctx, obj); err != nil {
		return err
	}
	then := metav1.NewTime(now.Add(-established))
	obj.Status.AcceptedNames = obj.Spec.Names
	obj.Status.Conditions = []apiextensions.CustomResourceDefinitionCondition{
		{Type: apiextensions.NamesAccepted, Status: apiextensions.ConditionTrue, LastTransitionTime: then, Reason: "NoConflicts", Message: "no conflicts found"},
		{Type: apiextensions.Established, Status: apiextensions.ConditionTrue, LastTransitionTime: then, Reason: "InitialNamesAccepted", Message: "the initial names have been accepted"},
	}
	key, err := store.KeyFunc(ctx, obj.Name)
	if err != nil {
		return err
	}
	return store.Storage.Create(ctx, key, obj, &apiextensions.CustomResourceDefinition{}, 0, false)
}
