package admin

import (
	"bytes"
	"encoding/json"
	"net/http"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// marshal writes a message as Envoy does: fields by their names in the protocol, a space
// a level. With all, fields without presence that are not set are written, too.
func marshal(m proto.Message, all bool) ([]byte, error) {
	js, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: all}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, js, "", " "); err != nil { // the marshaller's own spaces vary
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func (s *server) reply(w http.ResponseWriter, m proto.Message, all bool) {
	b, err := marshal(m, all)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.replyJSON(w, b)
}

func (s *server) replyJSON(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(b)
	s.report(err)
}

// report logs an answer that could not be written; mostly its client is gone.
func (s *server) report(err error) {
	if err != nil {
		s.o.Log.Debug("admin answer not written", "error", err)
	}
}
