package cli

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"time"
)

// secretRow is what istioctl tells of a secret.
type secretRow struct {
	name, kind, status, serial, notAfter, notBefore string
	valid                                           bool
}

func printSecrets(w io.Writer, secrets []resource, now time.Time) {
	fmt.Fprintln(w, "RESOURCE NAME\tTYPE\tSTATUS\tVALID CERT\tSERIAL NUMBER\tNOT AFTER\tNOT BEFORE")
	for _, s := range secrets {
		r := secretOf(s, now)
		fmt.Fprintf(w, "%s\t%s\t%s\t%t\t%s\t%s\t%s\n", r.name, r.kind, r.status, r.valid, r.serial, r.notAfter, r.notBefore)
	}
}

func secretOf(s resource, now time.Time) secretRow {
	type source struct {
		Bytes  string `json:"inline_bytes"`
		String string `json:"inline_string"`
	}
	var c struct {
		Certificate *struct {
			Chain source `json:"certificate_chain"`
		} `json:"tls_certificate"`
		Validation *struct {
			CA source `json:"trusted_ca"`
		} `json:"validation_context"`
	}
	r := secretRow{name: s.Name, kind: "-", status: "ACTIVE", serial: "-", notAfter: "-", notBefore: "-"}
	if s.Waiting {
		r.status = "WARMING"
	}
	if s.Error != "" {
		r.status = "REFUSED"
	}
	if json.Unmarshal(s.Config, &c) != nil {
		return r
	}
	var of source
	switch {
	case c.Certificate != nil:
		r.kind, of = "Cert Chain", c.Certificate.Chain
	case c.Validation != nil:
		r.kind, of = "CA", c.Validation.CA
	}
	text := []byte(of.String)
	if of.Bytes != "" {
		text, _ = base64.StdEncoding.DecodeString(of.Bytes) // what is none has no certificate
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return r
	}
	x, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return r
	}
	r.valid = !now.Before(x.NotBefore) && !now.After(x.NotAfter)
	r.serial = x.SerialNumber.Text(16)
	r.notAfter, r.notBefore = x.NotAfter.UTC().Format(time.RFC3339), x.NotBefore.UTC().Format(time.RFC3339)
	return r
}
