package apiserver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	crdclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
)

// established is how far back the condition Established is put: for two seconds
// after it the server makes the first create of a kind wait, lest another replica
// does not know the kind yet. There is none.
const established = 10 * time.Second

// installCRDs makes the server's CRDs what want says and waits until all are served.
func installCRDs(ctx context.Context, config *rest.Config, want []*apiextensionsv1.CustomResourceDefinition) error {
	if len(want) == 0 {
		return nil
	}
	set, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	client := set.ApiextensionsV1().CustomResourceDefinitions()
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("custom resource definitions: %w", err)
	}
	have := make(map[string]*apiextensionsv1.CustomResourceDefinition, len(list.Items))
	for i := range list.Items {
		have[list.Items[i].Name] = &list.Items[i]
	}
	missing := &pending{names: map[string]bool{}}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, crd := range want {
		g.Go(func() error {
			made, err := installCRD(gctx, client, crd, have[crd.Name])
			if err != nil {
				return fmt.Errorf("custom resource definition %s: %w", crd.Name, err)
			}
			if !isEstablished(made) {
				missing.add(crd.Name)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return awaitEstablished(ctx, client, list.ResourceVersion, missing.names)
}

// pending are names gathered by several goroutines.
type pending struct {
	mu    sync.Mutex
	names map[string]bool
}

func (p *pending) add(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names[name] = true
}

func installCRD(ctx context.Context, client crdclient.CustomResourceDefinitionInterface, want, have *apiextensionsv1.CustomResourceDefinition) (*apiextensionsv1.CustomResourceDefinition, error) {
	want = want.DeepCopy()
	apiserver.Scheme.Default(want)
	if have == nil {
		want.ResourceVersion = ""
		return client.Create(ctx, want, metav1.CreateOptions{})
	}
	want.Spec.Conversion = orDefault(want.Spec.Conversion)
	if equality.Semantic.DeepEqual(have.Spec, want.Spec) {
		return have, nil
	}
	var made *apiextensionsv1.CustomResourceDefinition
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		now, err := client.Get(ctx, want.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now.Spec = want.Spec
		made, err = client.Update(ctx, now, metav1.UpdateOptions{})
		return err
	})
	return made, err
}

func orDefault(c *apiextensionsv1.CustomResourceConversion) *apiextensionsv1.CustomResourceConversion {
	if c == nil {
		return &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.NoneConverter}
	}
	return c
}

func isEstablished(crd *apiextensionsv1.CustomResourceDefinition) bool {
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensionsv1.Established {
			return c.Status == apiextensionsv1.ConditionTrue
		}
	}
	return false
}

// awaitEstablished watches from a list's version until all names are established,
// and puts their conditions back.
func awaitEstablished(ctx context.Context, client crdclient.CustomResourceDefinitionInterface, version string, names map[string]bool) error {
	if len(names) == 0 {
		return nil
	}
	w, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return fmt.Errorf("custom resource definitions: %w", err)
	}
	defer w.Stop()
	for len(names) > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("custom resource definitions: %d not established: %w", len(names), context.Cause(ctx))
		case e, ok := <-w.ResultChan():
			if !ok {
				return fmt.Errorf("custom resource definitions: %d not established: the watch ended", len(names))
			}
			crd, ok := e.Object.(*apiextensionsv1.CustomResourceDefinition)
			if !ok || !names[crd.Name] || !isEstablished(crd) {
				continue
			}
			if err := putBack(ctx, client, crd.Name); err != nil {
				return fmt.Errorf("custom resource definition %s: %w", crd.Name, err)
			}
			delete(names, crd.Name)
		}
	}
	return nil
}

func putBack(ctx context.Context, client crdclient.CustomResourceDefinitionInterface, name string) error {
	for {
		crd, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for i := range crd.Status.Conditions {
			if c := &crd.Status.Conditions[i]; c.Type == apiextensionsv1.Established {
				c.LastTransitionTime = metav1.NewTime(c.LastTransitionTime.Add(-established))
			}
		}
		// The server's controllers write status too, so a conflict is likely at first.
		_, err = client.UpdateStatus(ctx, crd, metav1.UpdateOptions{})
		if !apierrors.IsConflict(err) {
			return err
		}
	}
}
