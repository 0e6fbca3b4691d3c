package builtin

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// clusterRange is where services get their addresses; Kubernetes' own default.
var clusterRange = netip.MustParsePrefix("10.96.0.0/12")

// addresses hands out cluster addresses. This server is the only writer of its
// etcd, so what is in use is known here, read once from the objects.
type addresses struct {
	services *registry.Store
	mu       sync.Mutex
	owner    map[netip.Addr]string // namespace/name; nil before the first use
}

// use makes a service store take its addresses from a.
func (a *addresses) use(s *registry.Store) {
	a.services = s
	s.BeginCreate = a.beginCreate
	s.BeginUpdate = a.beginUpdate
	s.AfterDelete = a.afterDelete
}

func (a *addresses) beginCreate(ctx context.Context, obj runtime.Object, o *metav1.CreateOptions) (registry.FinishFunc, error) {
	s := obj.(*corev1.Service)
	return a.reserve(ctx, s, request.NamespaceValue(ctx)+"/"+s.Name, dryrun.IsDryRun(o.DryRun))
}

func (a *addresses) beginUpdate(ctx context.Context, obj, oldObj runtime.Object, o *metav1.UpdateOptions) (registry.FinishFunc, error) {
	s, old := obj.(*corev1.Service), oldObj.(*corev1.Service)
	key := request.NamespaceValue(ctx) + "/" + old.Name
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		if s.Spec.ClusterIP == old.Spec.ClusterIP {
			s.Spec.ClusterIP = ""
		}
		defaultFamilies(&s.Spec)
		return func(_ context.Context, ok bool) {
			if ok && !dryrun.IsDryRun(o.DryRun) {
				a.release(old.Spec.ClusterIP, key)
			}
		}, nil
	}
	if old.Spec.ClusterIP != "" {
		if s.Spec.ClusterIP == "" {
			s.Spec.ClusterIP = old.Spec.ClusterIP // a replace that leaves it out
		}
		defaultFamilies(&s.Spec)
		return nothing, nil // a change is refused by validation
	}
	return a.reserve(ctx, s, key, dryrun.IsDryRun(o.DryRun))
}

func nothing(context.Context, bool) {}

func (a *addresses) afterDelete(obj runtime.Object, o *metav1.DeleteOptions) {
	if o == nil || !dryrun.IsDryRun(o.DryRun) {
		s := obj.(*corev1.Service)
		a.release(s.Spec.ClusterIP, s.Namespace+"/"+s.Name)
	}
}

// reserve gives s an address, or takes the one it asks for. The returned function
// gives it back if the service is not stored.
func (a *addresses) reserve(ctx context.Context, s *corev1.Service, key string, dry bool) (registry.FinishFunc, error) {
	if s.Spec.Type != corev1.ServiceTypeClusterIP || s.Spec.ClusterIP == corev1.ClusterIPNone {
		defaultFamilies(&s.Spec)
		return nothing, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.load(ctx); err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("cluster addresses: %w", err))
	}
	var ip netip.Addr
	if s.Spec.ClusterIP == "" {
		if ip = a.free(key); !ip.IsValid() {
			return nil, apierrors.NewInternalError(fmt.Errorf("all addresses of %s are in use", clusterRange))
		}
		s.Spec.ClusterIP = ip.String()
	} else {
		var err error
		if ip, err = netip.ParseAddr(s.Spec.ClusterIP); err != nil {
			return nothing, nil // validation says so
		}
		if owner, taken := a.owner[ip]; taken || !clusterRange.Contains(ip) {
			why := fmt.Sprintf("the provided IP is not in the valid range %s", clusterRange)
			if taken {
				why = "the provided IP is already allocated to " + owner
			}
			gk := corev1.SchemeGroupVersion.WithKind("Service").GroupKind()
			return nil, apierrors.NewInvalid(gk, s.Name, field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIP"), s.Spec.ClusterIP, why)})
		}
	}
	defaultFamilies(&s.Spec)
	a.owner[ip] = key
	return func(_ context.Context, ok bool) {
		if !ok || dry {
			a.release(ip.String(), key)
		}
	}, nil
}

func (a *addresses) release(ip, key string) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.owner[addr] == key {
		delete(a.owner, addr)
	}
}

func (a *addresses) load(ctx context.Context) error {
	if a.owner != nil {
		return nil
	}
	list, err := a.services.List(request.WithNamespace(ctx, metav1.NamespaceAll), &metainternal.ListOptions{})
	if err != nil {
		return err
	}
	a.owner = map[netip.Addr]string{}
	for _, s := range list.(*corev1.ServiceList).Items {
		if ip, err := netip.ParseAddr(s.Spec.ClusterIP); err == nil {
			a.owner[ip] = s.Namespace + "/" + s.Name
		}
	}
	return nil
}

// free is the address that key's hash names, or the next one that is free: a service
// made again by the same name mostly has the same address.
func (a *addresses) free(key string) netip.Addr {
	h := fnv.New32a()
	h.Write([]byte(key))
	base := clusterRange.Addr().As4()
	size := uint32(1) << (32 - clusterRange.Bits())
	for i := range size {
		host := (h.Sum32() + i) % size
		if host == 0 || host == size-1 {
			continue
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(base[:])+host)
		if ip := netip.AddrFrom4(b); a.owner[ip] == "" {
			return ip
		}
	}
	return netip.Addr{}
}
