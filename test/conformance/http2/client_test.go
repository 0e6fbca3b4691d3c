package http2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	xh2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// request is what is sent on one connection.
type request struct {
	name     string
	fields   []string // "name: value"
	body     []string // a DATA frame each
	trailers []string
	open     bool   // no END_STREAM
	raw      []byte // in place of all that
}

// fieldOf splits "name: value"; the name may begin with a colon.
func fieldOf(f string) hpack.HeaderField {
	name, value, _ := strings.Cut(f, ": ")
	return hpack.HeaderField{Name: name, Value: value}
}

func block(fields []string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range fields {
		e.WriteField(fieldOf(f))
	}
	return b.Bytes()
}

// send sends the request's frames.
func (r *request) send(w io.Writer) {
	if r.raw != nil {
		w.Write(r.raw)
		return
	}
	fr := xh2.NewFramer(w, nil)
	fr.AllowIllegalWrites = true
	end := len(r.body) == 0 && r.trailers == nil && !r.open
	fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: 1, BlockFragment: block(r.fields), EndHeaders: true, EndStream: end})
	for i, b := range r.body {
		fr.WriteData(1, i == len(r.body)-1 && r.trailers == nil && !r.open, []byte(b))
	}
	if r.trailers != nil {
		fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: 1, BlockFragment: block(r.trailers), EndHeaders: true, EndStream: true})
	}
}

// ask gives what a program answers: status, fields in order of their names, content
// and trailers; or that it resets the stream or ends the connection.
func ask(port int, r *request) string {
	nc, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return err.Error()
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(nc, xh2.ClientPreface)
	fr := xh2.NewFramer(nc, nc)
	fr.WriteSettings()
	r.send(nc)
	dec := hpack.NewDecoder(4096, nil)
	var out strings.Builder
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				return out.String() + "nothing"
			}
			return out.String() + "connection ended"
		}
		switch f := f.(type) {
		case *xh2.HeadersFrame:
			fields, err := dec.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				return err.Error()
			}
			var lines []string
			for _, x := range fields {
				switch x.Name {
				case "date":
					x.Value = "?"
				case "x-envoy-upstream-service-time":
					continue
				}
				lines = append(lines, x.Name+": "+x.Value)
			}
			slices.Sort(lines)
			out.WriteString(strings.Join(lines, "\n") + "\n")
			if f.StreamEnded() {
				return out.String()
			}
		case *xh2.DataFrame:
			out.Write(f.Data())
			if f.StreamEnded() {
				return out.String()
			}
		case *xh2.RSTStreamFrame:
			return out.String() + "stream reset"
		case *xh2.GoAwayFrame:
			if f.ErrCode != xh2.ErrCodeNo {
				return out.String() + "connection ended"
			}
		}
	}
}
