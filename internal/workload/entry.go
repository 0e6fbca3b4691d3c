package workload

import (
	"context"
	"fmt"
	"maps"
	"net/netip"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// writeEntry creates the WorkloadEntry, or brings address and ports up to date
// and keeps labels that somebody put on it.
func (r *Registry) writeEntry(ctx context.Context, s *spec.Spec) error {
	entries := r.istio.NetworkingV1().WorkloadEntries(s.Namespace)
	ports := make(map[string]uint32, len(s.Ports))
	for _, p := range s.Ports {
		listen := p.Inbound
		if s.NoSidecar {
			listen = p.App
		}
		ap, err := netip.ParseAddrPort(listen)
		if err != nil {
			return fmt.Errorf("port %s: %w", p.Name, err)
		}
		ports[p.Name] = uint32(ap.Port())
	}
	err := retry.OnError(retry.DefaultBackoff, overtaken, func() error {
		old, err := entries.Get(ctx, s.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			e := &networking.WorkloadEntry{ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: maps.Clone(s.Labels)}}
			e.Labels[managedLabel] = managedBy
			fillEntry(e, s, ports)
			_, err = entries.Create(ctx, e, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		e := old.DeepCopy()
		if e.Labels == nil {
			e.Labels = map[string]string{}
		}
		maps.Copy(e.Labels, s.Labels)
		e.Labels[managedLabel] = managedBy
		fillEntry(e, s, ports)
		_, err = entries.Update(ctx, e, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("write WorkloadEntry %s/%s: %w", s.Namespace, s.Name, err)
	}
	return nil
}

// overtaken: between the look and the write somebody else wrote, such as the one
// that writes statuses. It is looked at again.
func overtaken(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

func fillEntry(e *networking.WorkloadEntry, s *spec.Spec, ports map[string]uint32) {
	e.Spec.Reset()
	e.Spec.Address = s.Address
	e.Spec.Ports = ports
	e.Spec.ServiceAccount = s.ServiceAccount
	e.Spec.Labels = nil
}
