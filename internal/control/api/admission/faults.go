package admission

import (
	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func percentage(at *field.Path, p *networking.Percent) field.ErrorList {
	if v := p.GetValue(); v < 0 || v > 100 {
		return field.ErrorList{field.Invalid(at.Child("value"), v, "must be from 0 to 100")}
	}
	return nil
}

func fault(at *field.Path, f *networking.HTTPFaultInjection) field.ErrorList {
	if f == nil {
		return nil
	}
	var errs field.ErrorList
	if f.GetAbort() == nil && f.GetDelay() == nil {
		errs = append(errs, field.Required(at, "abort or delay"))
	}
	if a := f.GetAbort(); a != nil {
		errs = append(errs, percentage(at.Child("abort", "percentage"), a.GetPercentage())...)
		switch t := a.GetErrorType().(type) {
		case *networking.HTTPFaultInjection_Abort_HttpStatus:
			if t.HttpStatus < 200 || t.HttpStatus > 599 {
				errs = append(errs, field.Invalid(at.Child("abort", "httpStatus"), t.HttpStatus, "must be from 200 to 599"))
			}
		case *networking.HTTPFaultInjection_Abort_GrpcStatus:
			if !grpcStatuses[t.GrpcStatus] {
				errs = append(errs, field.Invalid(at.Child("abort", "grpcStatus"), t.GrpcStatus, "is no gRPC status such as UNAVAILABLE"))
			}
		case *networking.HTTPFaultInjection_Abort_Http2Error:
			errs = append(errs, field.Forbidden(at.Child("abort", "http2Error"), "is not supported"))
		case nil:
			errs = append(errs, field.Required(at.Child("abort"), "httpStatus or grpcStatus"))
		}
	}
	if d := f.GetDelay(); d != nil {
		errs = append(errs, percentage(at.Child("delay", "percentage"), d.GetPercentage())...)
		if d.GetHttpDelayType() == nil {
			errs = append(errs, field.Required(at.Child("delay", "fixedDelay"), "how long"))
		}
		if _, ok := d.GetHttpDelayType().(*networking.HTTPFaultInjection_Delay_ExponentialDelay); ok {
			errs = append(errs, field.Forbidden(at.Child("delay", "exponentialDelay"), "is not supported: use fixedDelay"))
		}
	}
	return errs
}

// grpcStatuses are the names of google.rpc.Code.
var grpcStatuses = map[string]bool{
	"OK": true, "CANCELLED": true, "UNKNOWN": true, "INVALID_ARGUMENT": true, "DEADLINE_EXCEEDED": true, "NOT_FOUND": true,
	"ALREADY_EXISTS": true, "PERMISSION_DENIED": true, "RESOURCE_EXHAUSTED": true, "FAILED_PRECONDITION": true, "ABORTED": true,
	"OUT_OF_RANGE": true, "UNIMPLEMENTED": true, "INTERNAL": true, "UNAVAILABLE": true, "DATA_LOSS": true, "UNAUTHENTICATED": true,
}

func mirrors(at *field.Path, r *networking.HTTPRoute) field.ErrorList {
	var errs field.ErrorList
	if m := r.GetMirror(); m != nil {
		errs = append(errs, destination(at.Child("mirror"), m)...)
		if len(r.GetMirrors()) > 0 {
			errs = append(errs, field.Forbidden(at.Child("mirrors"), "may not be set together with mirror"))
		}
	}
	errs = append(errs, percentage(at.Child("mirrorPercentage"), r.GetMirrorPercentage())...)
	for i, m := range r.GetMirrors() {
		errs = append(errs, destination(at.Child("mirrors").Index(i).Child("destination"), m.GetDestination())...)
		errs = append(errs, percentage(at.Child("mirrors").Index(i).Child("percentage"), m.GetPercentage())...)
	}
	return errs
}

func cors(at *field.Path, c *networking.CorsPolicy) field.ErrorList {
	var errs field.ErrorList
	for i, o := range c.GetAllowOrigins() {
		errs = append(errs, stringMatch(at.Child("allowOrigins").Index(i), o, false)...)
	}
	for _, f := range []struct {
		name   string
		values []string
	}{{"allowMethods", c.GetAllowMethods()}, {"allowHeaders", c.GetAllowHeaders()}, {"exposeHeaders", c.GetExposeHeaders()}} {
		for i, v := range f.values {
			if v != "*" && !isToken(v) {
				errs = append(errs, field.Invalid(at.Child(f.name).Index(i), v, "is no name that HTTP allows here"))
			}
		}
	}
	return errs
}
