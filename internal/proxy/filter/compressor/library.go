package compressor

import (
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	brotliv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/compressor/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	zstdv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/compressor/v3"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/types/known/wrapperspb"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// encoder is a compressor of one message at a time.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// library makes the encoders of one configuration, and keeps them for the next message.
type library struct {
	name     string // of the configuration
	encoding string // as Content-Encoding names it
	kind     string // as counters are named
	pool     sync.Pool
}

func (l *library) get(to io.Writer) encoder {
	e := l.pool.Get().(encoder)
	e.Reset(to)
	return e
}

func (l *library) put(e encoder) {
	e.Reset(io.Discard) // it forgets the message
	l.pool.Put(e)
}

// compileLibrary compiles a compressor_library. What says how much memory a library may
// use, or how it searches, changes no message that a client understands: those fields
// are checked and taken.
func compileLibrary(m *corev3.TypedExtensionConfig) (*library, error) {
	if err := strict.Only(m, "name", "typed_config"); err != nil {
		return nil, err
	}
	if m.GetTypedConfig() == nil {
		return nil, strict.Errorf("typed_config", "missing")
	}
	l := &library{name: m.GetName()}
	var err error
	switch any := m.GetTypedConfig(); {
	case any.MessageIs((*gzipv3.Gzip)(nil)):
		var c gzipv3.Gzip
		if err = strict.Unpack(any, &c); err == nil {
			err = l.gzip(&c)
		}
	case any.MessageIs((*brotliv3.Brotli)(nil)):
		var c brotliv3.Brotli
		if err = strict.Unpack(any, &c); err == nil {
			err = l.brotli(&c)
		}
	case any.MessageIs((*zstdv3.Zstd)(nil)):
		var c zstdv3.Zstd
		if err = strict.Unpack(any, &c); err == nil {
			err = l.zstd(&c)
		}
	default:
		err = strict.Unknown(any)
	}
	return l, strict.At("typed_config", err)
}

// within checks a number.
func within(path string, v *wrapperspb.UInt32Value, from, to uint32) error {
	if v != nil && (v.GetValue() < from || v.GetValue() > to) {
		return strict.Errorf(path, "%d is not from %d to %d", v.GetValue(), from, to)
	}
	return nil
}

// first gives the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func known(path string, number int32, names map[int32]string) error {
	if _, ok := names[number]; !ok {
		return strict.Errorf(path, "%d: %w", number, strict.ErrUnsupported)
	}
	return nil
}

func (l *library) gzip(m *gzipv3.Gzip) error {
	if err := first(strict.Only(m, "memory_level", "compression_level", "compression_strategy", "window_bits", "chunk_size"),
		within("memory_level", m.GetMemoryLevel(), 1, 9), within("window_bits", m.GetWindowBits(), 9, 15), within("chunk_size", m.GetChunkSize(), 4096, 65536),
		known("compression_level", int32(m.GetCompressionLevel()), gzipv3.Gzip_CompressionLevel_name),
		known("compression_strategy", int32(m.GetCompressionStrategy()), gzipv3.Gzip_CompressionStrategy_name)); err != nil {
		return err
	}
	level := int(m.GetCompressionLevel()) // Envoy's numbers are the levels, but for the default
	if level == 0 {
		level = gzip.DefaultCompression
	}
	if m.GetCompressionStrategy() == gzipv3.Gzip_HUFFMAN_ONLY {
		level = gzip.HuffmanOnly
	}
	if _, err := gzip.NewWriterLevel(io.Discard, level); err != nil {
		return err
	}
	l.encoding, l.kind = "gzip", "gzip."
	l.pool.New = func() any { w, _ := gzip.NewWriterLevel(io.Discard, level); return w }
	return nil
}

func (l *library) brotli(m *brotliv3.Brotli) error {
	if err := first(strict.Only(m, "quality", "encoder_mode", "window_bits", "input_block_bits", "chunk_size", "disable_literal_context_modeling"),
		within("quality", m.GetQuality(), 0, 11), within("window_bits", m.GetWindowBits(), 10, 24), within("input_block_bits", m.GetInputBlockBits(), 16, 24),
		within("chunk_size", m.GetChunkSize(), 4096, 65536), known("encoder_mode", int32(m.GetEncoderMode()), brotliv3.Brotli_EncoderMode_name)); err != nil {
		return err
	}
	o := brotli.WriterOptions{Quality: 3, LGWin: 18} // Envoy's defaults
	if q := m.GetQuality(); q != nil {
		o.Quality = int(q.GetValue())
	}
	if w := m.GetWindowBits(); w != nil {
		o.LGWin = int(w.GetValue())
	}
	l.encoding, l.kind = "br", "brotli."
	l.pool.New = func() any { return brotli.NewWriterOptions(io.Discard, o) }
	return nil
}

func (l *library) zstd(m *zstdv3.Zstd) error {
	if err := first(strict.Only(m, "compression_level", "enable_checksum", "strategy", "chunk_size"),
		within("compression_level", m.GetCompressionLevel(), 0, 22), within("chunk_size", m.GetChunkSize(), 4096, 65536),
		known("strategy", int32(m.GetStrategy()), zstdv3.Zstd_Strategy_name)); err != nil {
		return err
	}
	level := 3
	if v := m.GetCompressionLevel(); v.GetValue() != 0 {
		level = int(v.GetValue())
	}
	// Clients need not take a window above 8 MiB (RFC 8878, 3.1.1.1.2).
	options := []zstd.EOption{zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(m.GetEnableChecksum()),
		zstd.WithWindowSize(1 << 20), zstd.WithLowerEncoderMem(true)}
	if _, err := zstd.NewWriter(nil, options...); err != nil {
		return err
	}
	l.encoding, l.kind = "zstd", "zstd."
	l.pool.New = func() any { w, _ := zstd.NewWriter(nil, options...); return w }
	return nil
}
