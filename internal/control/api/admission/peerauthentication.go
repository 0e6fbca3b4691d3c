package admission

import (
	security "istio.io/api/security/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func peerAuthentication(s subject[security.PeerAuthentication]) field.ErrorList {
	selector := s.spec.GetSelector().GetMatchLabels()
	errs := labels(s.at.Child("selector", "matchLabels"), selector)
	at := s.at.Child("portLevelMtls")
	if len(s.spec.GetPortLevelMtls()) > 0 && len(selector) == 0 {
		errs = append(errs, field.Forbidden(at, "needs a selector with labels: ports are those of the workloads that it selects"))
	}
	for n := range s.spec.GetPortLevelMtls() {
		errs = append(errs, port(at, n)...)
	}
	return errs
}
