package mesh

import "time"

// VirtualService is one such object for HTTP, its names resolved.
type VirtualService struct {
	Ref       Ref
	Namespace string
	Hosts     []string // full names of services where they were short, else as given
	// Gateways are "namespace/name"; Mesh tells that sidecars use it.
	Gateways []string
	Mesh     bool
	// Namespaces are those that see it; empty means all.
	Namespaces []string
	Routes     []HTTPRoute
	// Refused is set if it could not be translated: its hosts get no answer but
	// 404, since leaving out a part might let more through.
	Refused bool
}

// VisibleTo tells whether a proxy of the namespace uses the object.
func (v *VirtualService) VisibleTo(namespace string) bool {
	if len(v.Namespaces) == 0 {
		return true
	}
	for _, n := range v.Namespaces {
		if n == namespace {
			return true
		}
	}
	return false
}

// HTTPRoute is one rule of a VirtualService: the first whose matches has one
// that holds takes the request.
type HTTPRoute struct {
	Name    string
	Matches []HTTPMatch // none: every request
	// Destinations share the requests by weight; none with Redirect or Direct.
	Destinations []Destination
	Redirect     *Redirect
	Direct       *DirectResponse
	// RewritePath replaces the matched prefix, or the whole of an exact path.
	RewritePath, RewriteHost string
	Timeout                  time.Duration // 0: none
	Retries                  *Retries
	Headers                  HeaderChanges
	Fault                    *Fault
	Mirrors                  []Mirror
}

// Mirror is where copies of a share of the requests go.
type Mirror struct {
	Destination
	Share float64 // percent of requests; above 0
}

// Fault makes requests slow or fail on purpose.
type Fault struct {
	Delay      time.Duration // 0: none
	DelayShare float64       // percent of requests
	// One of these is the answer to a share of requests; both nil: none is aborted.
	AbortHTTP, AbortGRPC *uint32
	AbortShare           float64
}

// HTTPMatch holds if all its parts do.
type HTTPMatch struct {
	Gateways       []string // "namespace/name" or "mesh"; none: those of the object
	SourceLabels   map[string]string
	SourceNS       string
	Port           uint16
	Path           *StringMatch // nil: any
	IgnorePathCase bool
	Method         *StringMatch
	Authority      *StringMatch
	Scheme         *StringMatch
	Headers        []HeaderMatch
	Query          []HeaderMatch
}

// HeaderMatch is a match of one named header or query parameter.
type HeaderMatch struct {
	Name   string
	Match  StringMatch
	Invert bool
}

// Destination is one place that requests go to.
type Destination struct {
	Host    string // full name
	Subset  string
	Port    uint16
	Weight  uint32
	Headers HeaderChanges
}

// Retries is how often and when a request is tried again.
type Retries struct {
	Attempts      uint32
	PerTryTimeout time.Duration
	On            string   // Envoy's conditions, comma between; "": the default
	Statuses      []uint32 // which retriable-status-codes means
}

// Redirect answers with another place.
type Redirect struct {
	Path, PrefixPath, Host, Scheme string
	Port                           uint16
	Code                           uint32
}

// DirectResponse answers by itself.
type DirectResponse struct {
	Status uint32
	Body   string
}

// HeaderChanges are made to requests and responses.
type HeaderChanges struct {
	RequestSet, RequestAdd, ResponseSet, ResponseAdd []Header
	RequestRemove, ResponseRemove                    []string
}

// Header is one header's name and value.
type Header struct{ Name, Value string }
