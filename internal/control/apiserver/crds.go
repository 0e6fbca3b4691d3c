package apiserver

import (
	"context"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
)

// updateCRDs gives the server's CRDs the specs that want has, through the API, so
// that a change is judged as one: a version that has objects cannot just go.
func updateCRDs(ctx context.Context, config *rest.Config, want []*apiextensionsv1.CustomResourceDefinition) error {
	if len(want) == 0 {
		return nil
	}
	set, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	client := set.ApiextensionsV1().CustomResourceDefinitions()
	for _, crd := range want {
		crd = crd.DeepCopy()
		apiserver.Scheme.Default(crd)
		err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
			now, err := client.Get(ctx, crd.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			now.Spec = crd.Spec
			_, err = client.Update(ctx, now, metav1.UpdateOptions{})
			return err
		})
		if err != nil {
			return fmt.Errorf("custom resource definition %s: %w", crd.Name, err)
		}
	}
	return nil
}

func isEstablished(crd *apiextensionsv1.CustomResourceDefinition) bool {
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensionsv1.Established {
			return c.Status == apiextensionsv1.ConditionTrue
		}
	}
	return false
}
