package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// rootNamespace holds the mesh's own objects.
const rootNamespace = "istio-system"

// defaultAccount is made in every namespace.
const defaultAccount = "default"

// namespaceKeeper gives every namespace its default service account, and empties
// those that end.
type namespaceKeeper struct {
	client   kubernetes.Interface
	metadata metadata.Interface
	log      *slog.Logger
	queue    workqueue.TypedRateLimitingInterface[string]
	synced   []cache.InformerSynced

	namespaces listers.NamespaceLister
	accounts   listers.ServiceAccountLister
}

// newNamespaceKeeper watches by factory; run does the work.
func newNamespaceKeeper(client kubernetes.Interface, meta metadata.Interface, factory informers.SharedInformerFactory, log *slog.Logger) (*namespaceKeeper, error) {
	k := &namespaceKeeper{
		client:   client,
		metadata: meta,
		log:      log,

		namespaces: factory.Core().V1().Namespaces().Lister(),
		accounts:   factory.Core().V1().ServiceAccounts().Lister(),

		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 30*time.Second)),
	}
	namespaces := factory.Core().V1().Namespaces().Informer()
	accounts := factory.Core().V1().ServiceAccounts().Informer()
	k.synced = []cache.InformerSynced{namespaces.HasSynced, accounts.HasSynced}
	_, err := namespaces.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.queue.Add(o.(*corev1.Namespace).Name) },
		UpdateFunc: func(_, o any) { k.queue.Add(o.(*corev1.Namespace).Name) },
	})
	if err != nil {
		return nil, err
	}
	_, err = accounts.AddEventHandler(cache.ResourceEventHandlerFuncs{
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if sa, ok := o.(*corev1.ServiceAccount); ok && sa.Name == defaultAccount {
				k.queue.Add(sa.Namespace)
			}
		},
	})
	return k, err
}

// keepers is how many namespaces are looked at at once.
const keepers = 2

func (k *namespaceKeeper) run(ctx context.Context) {
	defer k.queue.ShutDown()
	if !cache.WaitForCacheSync(ctx.Done(), k.synced...) {
		return
	}
	// What is under way when ctx ends gets a moment to end by itself.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	for range keepers {
		wg.Go(func() {
			for k.next(work) {
			}
		})
	}
	<-ctx.Done()
	k.queue.ShutDown()
	defer time.AfterFunc(time.Second, stop).Stop()
	wg.Wait()
}

func (k *namespaceKeeper) next(ctx context.Context) bool {
	name, closed := k.queue.Get()
	if closed {
		return false
	}
	defer k.queue.Done(name)
	if err := k.keep(ctx, name); err != nil {
		if ctx.Err() == nil && !errors.Is(err, errNotEmpty) {
			k.log.Warn("namespace", "name", name, "error", err)
		}
		k.queue.AddRateLimited(name)
		return true
	}
	k.queue.Forget(name)
	return true
}

func (k *namespaceKeeper) keep(ctx context.Context, name string) error {
	ns, err := k.namespaces.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if ns.DeletionTimestamp == nil {
		if _, err := k.accounts.ServiceAccounts(name).Get(defaultAccount); !apierrors.IsNotFound(err) {
			return err
		}
		return ensureAccount(ctx, k.client, name)
	}
	if len(ns.Spec.Finalizers) == 0 {
		return nil
	}
	if err := k.empty(ctx, name); err != nil {
		return err
	}
	ns = ns.DeepCopy()
	ns.Spec.Finalizers = nil
	if _, err = k.client.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func ensureAccount(ctx context.Context, client kubernetes.Interface, namespace string) error {
	accounts := client.CoreV1().ServiceAccounts(namespace)
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: defaultAccount}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}

// errNotEmpty says that objects are left, held by finalizers of their own.
var errNotEmpty = errors.New("not empty yet")

// empty deletes everything in a namespace and returns nil when nothing is left.
func (k *namespaceKeeper) empty(ctx context.Context, namespace string) error {
	resources, err := k.namespaced()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range resources {
		client := k.metadata.Resource(r).Namespace(namespace)
		left, err := client.List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil && len(left.Items) > 0 {
			err = client.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
			if err == nil {
				left, err = client.List(ctx, metav1.ListOptions{Limit: 1})
			}
		}
		switch {
		case apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err): // a CRD that went
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", r.GroupResource(), err))
		case len(left.Items) > 0:
			errs = append(errs, errNotEmpty)
		}
	}
	return errors.Join(errs...)
}

// namespaced are the resources that can hold objects of a namespace, one version of
// each.
func (k *namespaceKeeper) namespaced() ([]schema.GroupVersionResource, error) {
	lists, err := discovery.ServerPreferredNamespacedResources(k.client.Discovery())
	if err != nil {
		return nil, err
	}
	able := discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "deletecollection"}}, lists)
	set, err := discovery.GroupVersionResources(able)
	if err != nil {
		return nil, err
	}
	out := make([]schema.GroupVersionResource, 0, len(set))
	for r := range set {
		out = append(out, r)
	}
	return out, nil
}

// ensureNamespace makes a namespace and its default service account.
func ensureNamespace(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	return ensureAccount(ctx, client, name)
}
