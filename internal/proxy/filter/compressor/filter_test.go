package compressor

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	"github.com/klauspost/compress/zstd"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

func using(kind, fields string) string {
	return "compressor_library: {name: l, typed_config: {'@type': type.googleapis.com/envoy.extensions.compression." + strings.ToLower(kind) + ".compressor.v3." + kind + fields + "}}"
}

func newFilter(t testing.TB, text string) (*Filter, error) {
	t.Helper()
	f, err := Factory(nil).New(filter.Config{Name: "c", Typed: proxytest.Pack(t, "{"+text+"}", &compressorv3.Compressor{})})
	if err != nil {
		return nil, err
	}
	return f.(*Filter), nil
}

// events is content that comes piece by piece.
type events struct {
	pieces []string
	err    error // at the end
}

func (e *events) Read(p []byte) (int, error) {
	if len(e.pieces) == 0 {
		return 0, e.err
	}
	n := copy(p, e.pieces[0])
	e.pieces = e.pieces[1:]
	return n, nil
}
func (*events) Whole() ([]byte, bool) { return nil, false }
func (*events) Skip()                 {}
func (e *events) Done() bool          { return len(e.pieces) == 0 && e.err == io.EOF }
func (*events) Buffered() int         { return 0 }

func reader(kind string, r io.Reader) (io.Reader, error) {
	switch kind {
	case "Gzip":
		return gzip.NewReader(r)
	case "Brotli":
		return brotli.NewReader(r), nil
	}
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
}

// What a server sends is passed on before more comes: a client can read each event by what
// has been read until then. Encoders are used again, and hold nothing of another message.
func TestEventsAreNotHeldBack(t *testing.T) {
	for _, kind := range []string{"Gzip", "Brotli", "Zstd"} {
		f, err := newFilter(t, using(kind, ""))
		if err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			want := []string{"data: one\n\n", "data: two\n\n", "data: " + strings.Repeat("three", round) + "\n\n"}
			b := newBody(&events{append([]string(nil), want...), io.EOF}, f.library, f.responses.from, f.responses.to)
			var sent bytes.Buffer
			for i := range want {
				p := make([]byte, 1<<16)
				n, err := b.Read(p)
				if err != nil {
					t.Fatal(err)
				}
				sent.Write(p[:n])
				for b.Buffered() > 0 {
					n, _ := b.Read(p)
					sent.Write(p[:n])
				}
				r, err := reader(kind, bytes.NewReader(sent.Bytes()))
				if err != nil {
					t.Fatal(kind, err)
				}
				all := strings.Join(want[:i+1], "")
				got := make([]byte, len(all))
				if _, err := io.ReadFull(r, got); err != nil || string(got) != all {
					t.Errorf("%s, event %d: %q %v", kind, i, got, err)
				}
			}
			if !b.Done() {
				t.Errorf("%s does not end", kind)
			}
			r, _ := reader(kind, &sent)
			if got, err := io.ReadAll(r); err != nil || string(got) != strings.Join(want, "") {
				t.Errorf("%s: %q %v", kind, got, err)
			}
		}
	}
}

// Content that breaks off must not look whole.
func TestBreaksOff(t *testing.T) {
	broken := errors.New("broken")
	for _, kind := range []string{"Gzip", "Brotli", "Zstd"} {
		f, err := newFilter(t, using(kind, ""))
		if err != nil {
			t.Fatal(err)
		}
		b := newBody(&events{[]string{"abc"}, broken}, f.library, f.responses.from, f.responses.to)
		sent, err := io.ReadAll(b)
		if err != broken || b.Done() {
			t.Errorf("%s: %v", kind, err)
		}
		r, _ := reader(kind, bytes.NewReader(sent))
		if got, err := io.ReadAll(r); err == nil {
			t.Errorf("%s: %q looks whole", kind, got)
		}
	}
}

// A judgement of a lasting connection's request changes nothing.
func TestJudgedAgain(t *testing.T) {
	f, err := newFilter(t, "response_direction_config: {remove_accept_encoding_header: true}, request_direction_config: {}, "+using("Gzip", ""))
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{Again: true}
	x.Request.Header.Add("accept-encoding", "gzip")
	if !f.Decode(x) || x.Request.Header.Get("accept-encoding") != "gzip" {
		t.Error("changed")
	}
}

func TestRefusedConfigurations(t *testing.T) {
	const response = "response_direction_config: {"
	for text, path := range map[string]string{
		"":                              "compressor_library",
		"compressor_library: {name: a}": "compressor_library.typed_config",
		"compressor_library: {name: a, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor}}": "compressor_library.typed_config",
		using("Gzip", ", window_bits: 8"):                                               "compressor_library.typed_config.window_bits",
		using("Gzip", ", memory_level: 10"):                                             "compressor_library.typed_config.memory_level",
		using("Gzip", ", chunk_size: 1"):                                                "compressor_library.typed_config.chunk_size",
		using("Brotli", ", quality: 12"):                                                "compressor_library.typed_config.quality",
		using("Brotli", ", window_bits: 25"):                                            "compressor_library.typed_config.window_bits",
		using("Zstd", ", compression_level: 23"):                                        "compressor_library.typed_config.compression_level",
		using("Zstd", ", dictionary: {inline_string: a}"):                               "compressor_library.typed_config.dictionary",
		response + "status_header_enabled: true}, " + using("Gzip", ""):                 "response_direction_config.status_header_enabled",
		response + "uncompressible_response_codes: [99]}, " + using("Gzip", ""):         "response_direction_config.uncompressible_response_codes[0]",
		response + "common_config: {content_type_matcher: [{}]}}, " + using("Gzip", ""): "response_direction_config.common_config.content_type_matcher[0].match_pattern",
	} {
		if _, err := newFilter(t, text); err == nil || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	text := strings.Repeat("the quick brown fox jumps over the lazy dog. ", 200)
	for _, kind := range []string{"Gzip", "Brotli", "Zstd"} {
		f, err := newFilter(b, using(kind, ""))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				io.Copy(io.Discard, newBody(&events{[]string{text}, io.EOF}, f.library, f.responses.from, f.responses.to))
			}
		})
	}
}
