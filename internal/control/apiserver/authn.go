package apiserver

import (
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// newAuthenticator takes client certificates of clientCA and tokens. A credential
// that is there and bad is 401, it never makes an anonymous request. Anonymous
// requests are those for the public paths alone.
func newAuthenticator(clientCA dynamiccertificates.CAContentProvider, tokens authenticator.Token) authenticator.Request {
	var public []apiserver.AnonymousAuthCondition
	for _, p := range publicPaths() {
		public = append(public, apiserver.AnonymousAuthCondition{Path: p})
	}
	return union.NewFailOnError(
		group.NewAuthenticatedGroupAdder(union.NewFailOnError(
			x509.NewDynamic(clientCA.VerifyOptions, x509.CommonNameUserConversion),
			bearertoken.New(tokens),
		)),
		anonymous.NewAuthenticator(public),
	)
}
