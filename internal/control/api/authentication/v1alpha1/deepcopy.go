package v1alpha1

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopyObject is a copy that shares nothing.
func (p *Policy) DeepCopyObject() runtime.Object { return p.DeepCopy() }

// DeepCopy is a copy that shares nothing.
func (p *Policy) DeepCopy() *Policy {
	if p == nil {
		return nil
	}
	c := &Policy{TypeMeta: p.TypeMeta, Spec: *p.Spec.DeepCopy()}
	p.DeepCopyInto(&c.ObjectMeta)
	p.Status.DeepCopyInto(&c.Status)
	return c
}

// DeepCopyObject is a copy that shares nothing.
func (p *MeshPolicy) DeepCopyObject() runtime.Object { return p.DeepCopy() }

// DeepCopy is a copy that shares nothing.
func (p *MeshPolicy) DeepCopy() *MeshPolicy {
	if p == nil {
		return nil
	}
	c := &MeshPolicy{TypeMeta: p.TypeMeta, Spec: *p.Spec.DeepCopy()}
	p.DeepCopyInto(&c.ObjectMeta)
	p.Status.DeepCopyInto(&c.Status)
	return c
}

// DeepCopyObject is a copy that shares nothing.
func (l *PolicyList) DeepCopyObject() runtime.Object {
	c := &PolicyList{TypeMeta: l.TypeMeta, Items: slices.Clone(l.Items)}
	l.DeepCopyInto(&c.ListMeta)
	for i := range c.Items {
		c.Items[i] = c.Items[i].DeepCopy()
	}
	return c
}

// DeepCopyObject is a copy that shares nothing.
func (l *MeshPolicyList) DeepCopyObject() runtime.Object {
	c := &MeshPolicyList{TypeMeta: l.TypeMeta, Items: slices.Clone(l.Items)}
	l.DeepCopyInto(&c.ListMeta)
	for i := range c.Items {
		c.Items[i] = c.Items[i].DeepCopy()
	}
	return c
}

// DeepCopy is a copy that shares nothing.
func (s *PolicySpec) DeepCopy() *PolicySpec {
	if s == nil {
		return nil
	}
	c := *s
	c.Targets = slices.Clone(s.Targets)
	for i := range c.Targets {
		c.Targets[i].Ports = slices.Clone(c.Targets[i].Ports)
	}
	c.Peers = slices.Clone(s.Peers)
	for i, p := range c.Peers {
		if p.MTLS != nil {
			mtls := *p.MTLS
			c.Peers[i].MTLS = &mtls
		}
		c.Peers[i].JWT = p.JWT.DeepCopy()
	}
	c.Origins = slices.Clone(s.Origins)
	for i := range c.Origins {
		c.Origins[i].JWT = c.Origins[i].JWT.DeepCopy()
	}
	return &c
}

// DeepCopy is a copy that shares nothing.
func (j *JWT) DeepCopy() *JWT {
	if j == nil {
		return nil
	}
	c := *j
	c.Audiences = slices.Clone(j.Audiences)
	c.JWTHeaders = slices.Clone(j.JWTHeaders)
	c.JWTParams = slices.Clone(j.JWTParams)
	c.TriggerRules = slices.Clone(j.TriggerRules)
	for i := range c.TriggerRules {
		c.TriggerRules[i].ExcludedPaths = slices.Clone(c.TriggerRules[i].ExcludedPaths)
		c.TriggerRules[i].IncludedPaths = slices.Clone(c.TriggerRules[i].IncludedPaths)
	}
	return &c
}
