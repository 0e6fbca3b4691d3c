package examples

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// request is one that net/http sends.
func request(method, url string, header []string, body string, tr *http.Transport) string {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return err.Error()
	}
	rq.Header.Set("User-Agent", "u")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if strings.EqualFold(name, "host") {
			rq.Host = value
			continue
		}
		rq.Header.Add(name, value)
	}
	tr.DisableCompression, tr.DisableKeepAlives, tr.ResponseHeaderTimeout = true, true, patience
	rs, err := tr.RoundTrip(rq)
	if err != nil {
		return failure(err)
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	return shown(rs, string(b), err)
}

// failure tells the kinds of a failed connection apart, not its words.
func failure(err error) string {
	if err == nil {
		return ""
	}
	var alert tls.AlertError
	switch {
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls: "):
		return "TLS alert" // which of those of certificates (RFC 8446, 6.2) is the library's affair
	case errors.Is(err, io.EOF), strings.Contains(err.Error(), "reset"), strings.Contains(err.Error(), "EOF"):
		return "closed"
	}
	return withoutPorts.ReplaceAllString(err.Error(), "127.0.0.1:PORT")
}

// get asks a port in clear.
func get(port, path string, header ...string) ask { return send("GET", port, path, "", header...) }

func send(method, port, path, body string, header ...string) ask {
	return ask{says: fmt.Sprint(method, " $", port, path, " ", header), do: func(p proxy) string {
		return request(method, "http://"+p.address(port)+path, append([]string{"host: a.test"}, header...), body, &http.Transport{})
	}}
}

// session is how a client opens TLS.
type session struct {
	sni  string
	cert string // a name of the authority's certificates
	alpn []string
	max  uint16
}

func (s session) config(p proxy) *tls.Config {
	c := &tls.Config{ServerName: s.sni, InsecureSkipVerify: true, NextProtos: s.alpn, MaxVersion: s.max}
	if s.cert != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(p.dir, s.cert+".pem"), filepath.Join(p.dir, s.cert+".key"))
		if err != nil {
			p.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// secure asks a port over TLS, and tells what was agreed on.
func secure(s session, port, path string, header ...string) ask {
	return ask{says: fmt.Sprintf("TLS %+v GET $%s%s", s, port, path), do: func(p proxy) string {
		agreed := ""
		c := s.config(p)
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			agreed = fmt.Sprintf("%s %q %s\n", tls.VersionName(cs.Version), cs.NegotiatedProtocol, cs.PeerCertificates[0].Subject.CommonName)
			return nil
		}
		tr := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: len(s.alpn) > 0 && s.alpn[0] == "h2"}
		return agreed + request("GET", "https://"+p.address(port)+path, append([]string{"host: a.test"}, header...), "", tr)
	}}
}

// open gives a connection, over TLS where there is a session.
func open(p proxy, port string, s *session) (net.Conn, error) {
	nc, err := net.DialTimeout("tcp", p.address(port), patience)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(patience))
	if s == nil {
		return nc, nil
	}
	tc := tls.Client(nc, s.config(p))
	return tc, tc.Handshake()
}

// socket opens a websocket, sends a frame, and tells what comes back.
func socket(s *session, port, path string, header ...string) ask {
	return ask{says: fmt.Sprintf("websocket %+v $%s%s", s, port, path), do: func(p proxy) string {
		nc, err := open(p, port, s)
		if err != nil {
			return failure(err)
		}
		defer nc.Close()
		head := "GET " + path + " HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		for _, h := range header {
			head += h + "\r\n"
		}
		io.WriteString(nc, head+"\r\n")
		r := bufio.NewReader(nc)
		rs, err := http.ReadResponse(r, nil)
		if err != nil {
			return failure(err)
		}
		if rs.StatusCode != 101 {
			b, err := io.ReadAll(rs.Body)
			return shown(rs, string(b), err)
		}
		const frame = "\x81\x85\x00\x00\x00\x00hello"
		io.WriteString(nc, frame)
		back := make([]byte, len(frame))
		_, err = io.ReadFull(r, back)
		return shown(rs, fmt.Sprintf("%q", back), err)
	}}
}

// changing are the fields of an answer that depend on the time.
var changing = regexp.MustCompile(`(?i)(date|x-envoy-upstream-service-time): .*\r\n`)

// line sends a line of text, and tells what comes back.
func line(s *session, port, text string) ask {
	return ask{says: fmt.Sprintf("%+v $%s %q", s, port, text), do: func(p proxy) string {
		nc, err := open(p, port, s)
		if err != nil {
			return failure(err)
		}
		defer nc.Close()
		io.WriteString(nc, text+"\n")
		b, err := io.ReadAll(nc)
		head, body, _ := strings.Cut(changing.ReplaceAllString(string(b), ""), "\r\n\r\n")
		out := sorted(strings.Split(head, "\r\n")) + body
		if f := failure(err); f != "closed" { // with a reset or without: chance
			out += f
		}
		return out
	}}
}

// seen tells besides what the mirror was asked by it, if anything is to come there.
func (a ask) seen(some bool) ask {
	do := a.do
	a.do = func(p proxy) string {
		answer := do(p)
		if !some {
			select {
			case x := <-copied:
				return answer + "\nnot expected: " + x
			default:
				return answer
			}
		}
		select {
		case x := <-copied:
			return answer + "\nmirrored: " + x
		case <-time.After(patience):
			return answer + "\nnothing is mirrored"
		}
	}
	return a
}

// hold opens connections and keeps them, and tells which of them answer. One that is
// refused is tried again for a while: connections that were closed before count until the
// proxy has seen it.
func hold(port string, n int) ask {
	return ask{says: fmt.Sprint(n, " connections to $", port), do: func(p proxy) string {
		var out []string
		for i := range n {
			said := ""
			for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
				nc, err := open(p, port, nil)
				if err != nil {
					return err.Error()
				}
				defer nc.Close()
				io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
				rs, err := http.ReadResponse(bufio.NewReader(nc), nil)
				if err == nil {
					said = fmt.Sprint(i, ": ", rs.StatusCode)
					break
				}
				said = fmt.Sprint(i, ": ", failure(err))
			}
			out = append(out, said)
		}
		return strings.Join(out, "\n")
	}}
}

// call calls the service of gRPC.
func call(port, key string, header ...string) ask {
	return ask{says: "gRPC $" + port + " " + key, do: func(p proxy) string {
		cc, err := grpc.NewClient(p.address(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err.Error()
		}
		defer cc.Close()
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(p.t.Context(), header...), patience)
		defer cancel()
		value := new(wrapperspb.StringValue)
		err = cc.Invoke(ctx, "/kv.KV/Get", wrapperspb.String(key), value)
		return fmt.Sprintf("%v %q %q", status.Code(err), status.Convert(err).Message(), value.Value)
	}}
}

// signer signs the tokens of the examples' issuers.
var signer = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

var b64 = base64.RawURLEncoding.EncodeToString

func keySet() string {
	raw, err := signer().PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k", "x": %q, "y": %q}]}`, b64(raw[1:33]), b64(raw[33:]))
}

// token gives a JWT of the claims.
func token(claims map[string]any) string {
	js, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	input := b64([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + b64(js)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, signer(), sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}
