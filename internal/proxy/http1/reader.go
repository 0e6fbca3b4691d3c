package http1

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/deadline"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Limits bound what a Reader takes. A zero field is the default.
type Limits struct {
	HeadBytes int // request or status line and fields; default and maximum 60 KiB
	Fields    int // fields of a message; default 100
	// HTTP10 accepts requests of HTTP/1.0; DefaultHost is the authority of those
	// without Host ("": refused).
	HTTP10      bool
	DefaultHost string
	// CustomMethods takes any token for a method, and not registered ones alone.
	CustomMethods bool
	// Trailers has trailers taken; else they are checked and dropped.
	Trailers bool
	// Underscores says what becomes of fields with an underscore in their name.
	Underscores Underscores
}

// Underscores is headers_with_underscores_action.
type Underscores uint8

const (
	AllowUnderscores Underscores = iota
	DropUnderscores
	RefuseUnderscores
)

// Of tells what becomes of the field of that name.
func (u Underscores) Of(name string) Underscores {
	if u == AllowUnderscores || strings.IndexByte(name, '_') < 0 {
		return AllowUnderscores
	}
	return u
}

const (
	defaultHead   = 60 << 10
	defaultFields = 100
)

func (l *Limits) head() int {
	if l.HeadBytes <= 0 || l.HeadBytes > defaultHead {
		return defaultHead
	}
	return l.HeadBytes
}

func (l *Limits) fields() int {
	if l.Fields <= 0 {
		return defaultFields
	}
	return l.Fields
}

// Reader reads the messages of one connection. It belongs to one goroutine, but
// the body of the current message may be read by another one until it is done.
type Reader struct {
	Limits Limits
	// Received counts the bytes that are read; nil: nobody counts.
	Received *counters.Counter

	// What the current message said of its connection, valid after Request or
	// Response.
	KeepAlive bool // the connection may carry another message
	Expect    bool // the client waits for 100 (Continue)
	Absolute  bool // the request target was in absolute form

	src        io.Reader
	late       *deadline.Conn // src, if it can wait without a buffer
	buf        []byte         // pooled; nil when nothing is buffered
	start, end int            // unread: buf[start:end]
	base       int            // the current head's strings stand before it
	scanned    int            // of the unread bytes, how many hold no end of a head
	size, last int            // bytes that were read of this message, and of the one before
	pinned     []byte         // earlier buffer that the current head's strings point into
	alone      bool           // there is one processor for all goroutines
	body       Body
	framing    framing
}

// NewReader reads from src. The first bytes may have been read already: prefix.
func NewReader(src io.Reader, prefix []byte) *Reader {
	r := &Reader{src: src, alone: runtime.GOMAXPROCS(0) == 1}
	r.late, _ = src.(*deadline.Conn)
	if len(prefix) > 0 {
		r.buf = buffer.Get(len(prefix))
		r.end = copy(r.buf, prefix)
	}
	return r
}

// Buffered counts the bytes that were read from the connection and not yet used.
func (r *Reader) Buffered() int { return r.end - r.start }

// Take gives the unread bytes and forgets them: what comes after a head that
// ends HTTP on the connection. They hold until Close.
func (r *Reader) Take() []byte {
	b := r.buf[r.start:r.end]
	r.start = r.end
	return b
}

// Next ends the current message: its strings are invalid from here on.
func (r *Reader) Next() {
	if r.pinned != nil {
		buffer.Put(r.pinned)
		r.pinned = nil
	}
	n := r.end - r.start
	switch {
	case r.buf == nil:
	case n == 0:
		buffer.Put(r.buf)
		r.buf = nil
	default:
		copy(r.buf, r.buf[r.start:r.end])
	}
	r.start, r.end, r.base, r.scanned = 0, n, 0, 0
	r.shrink()
	r.last, r.size = r.size, n
	r.body = Body{}
}

// shrink keeps no larger buffer for what a small one has room for: a message may take long.
// What it has begins at 0.
func (r *Reader) shrink() {
	if r.end > buffer.Small || len(r.buf) <= buffer.Small {
		return
	}
	small := buffer.Get(buffer.Small)
	copy(small, r.buf[:r.end])
	buffer.Put(r.buf)
	r.buf = small
}

// Close gives the buffers back. The Reader must not be used any more.
func (r *Reader) Close() {
	if r.pinned != nil {
		buffer.Put(r.pinned)
		r.pinned = nil
	}
	if r.buf != nil {
		buffer.Put(r.buf)
		r.buf = nil
	}
	r.start, r.end = 0, 0
}

var (
	headEnd   = []byte("\r\n\r\n")
	errNoRead = errors.New("http1: reader gave no bytes")
)

// Complete tells whether a whole head is buffered; if not, call Fill.
func (r *Reader) Complete() (bool, error) {
	b := r.buf[r.start:r.end]
	from := max(r.scanned-3, 0)
	if i := bytes.Index(b[from:], headEnd); i >= 0 {
		if from+i+len(headEnd) > r.Limits.head() {
			return false, r.tooLarge()
		}
		r.scanned = from + i
		return true, nil
	}
	for i := r.scanned; i < len(b); i++ {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			break
		}
		if i += j; i == 0 || b[i-1] != '\r' {
			return false, errLineEnd
		}
	}
	r.scanned = len(b)
	if len(b) >= r.Limits.head() {
		return false, r.tooLarge()
	}
	return false, nil
}

// tooLarge tells a head that is too large from one whose first line is (RFC 9112, 3).
func (r *Reader) tooLarge() error {
	b := r.buf[r.start:r.end]
	if bytes.IndexByte(b[:min(len(b), r.Limits.head())], '\n') < 0 {
		return errTargetSize
	}
	return errHeadSize
}

// Fill reads once from the connection, before or within a head. io.EOF means
// that nothing was buffered, io.ErrUnexpectedEOF that a message was cut.
//
// The other side needs its time for the next message. On a single processor the
// goroutines that can go on do so first: after them the read mostly finds something,
// where it would have failed and waited to be woken. With several processors giving
// way would wake an idle one for nothing.
func (r *Reader) Fill() error {
	if r.alone && r.start == r.end {
		turn().give()
	}
	if r.buf == nil {
		if r.late != nil {
			var err error
			r.buf, r.end, err = r.late.ReadLate(buffersFor(r.last))
			r.count(r.end)
			r.shrink()
			return err
		}
		r.buf = buffer.Get(buffer.Small) // held as long as nothing comes
	}
	if r.end == len(r.buf) {
		bigger := buffer.Get(min(4*len(r.buf), buffer.Large))
		r.end = copy(bigger, r.buf[r.start:r.end])
		r.start = 0
		buffer.Put(r.buf)
		r.buf = bigger
	}
	err := r.read()
	if err == io.EOF && r.end > r.start {
		return io.ErrUnexpectedEOF
	}
	return err
}

// read reads once into the free end of the buffer.
func (r *Reader) read() error {
	for range 8 {
		n, err := r.into(r.buf[r.end:])
		r.end += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errNoRead
}

// into reads once from the connection.
func (r *Reader) into(p []byte) (int, error) {
	n, err := r.src.Read(p)
	r.count(n)
	return n, err
}

// takeHead cuts the complete head off the unread bytes: its lines, each with its
// line end, without the empty line.
func (r *Reader) takeHead() []byte {
	head := r.buf[r.start : r.start+r.scanned+2]
	r.start += r.scanned + len(headEnd)
	r.base = r.start
	r.scanned = 0
	return head
}

// line cuts the first line off b, without its end.
func line(b []byte) (l, rest []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, errLineEnd
	}
	return b[:i-1], b[i+1:], nil
}

// pin makes room for lines that are read while the head's strings are in use
// (chunk sizes, trailers), in a buffer of their own if this one is nearly full.
func (r *Reader) pin() {
	if len(r.buf)-r.base < buffer.Small/2 {
		r.move(max(buffer.Small, r.end-r.start+buffer.Small/2))
	}
}

// gather reads, without waiting, what has come of the next n bytes.
func (r *Reader) gather(n int) {
	if r.late == nil || n > buffer.Large {
		return
	}
	if len(r.buf)-r.start < n {
		r.move(n)
	}
	got := r.late.ReadNow(r.buf[r.end:])
	r.count(got)
	r.end += got
}

// count counts bytes that were read.
func (r *Reader) count(n int) {
	if n <= 0 {
		return
	}
	r.size += n
	if r.Received != nil {
		r.Received.Add(uint64(n))
	}
}

// move puts the unread bytes into another buffer with room for n. The current head's
// strings hold.
func (r *Reader) move(n int) {
	b := buffer.Get(n)
	k := copy(b, r.buf[r.start:r.end])
	if r.pinned == nil {
		r.pinned = r.buf
	} else {
		buffer.Put(r.buf)
	}
	r.buf, r.base, r.start, r.end = b, 0, 0, k
}

// More reads once from the connection behind a head whose strings are in use.
func (r *Reader) More() error {
	r.pin()
	return r.refill()
}

// refill reads more of a body into the buffer behind the head.
func (r *Reader) refill() error {
	if r.start == r.end {
		r.start, r.end = r.base, r.base
	} else if r.end == len(r.buf) {
		if r.start == r.base {
			return errChunkExt
		}
		n := copy(r.buf[r.base:], r.buf[r.start:r.end])
		r.start, r.end = r.base, r.base+n
	}
	return r.read()
}

// framing is what the fields of a head say of its body.
type framing struct {
	length    int64 // declared, or exchange.UnknownLength
	lengths   int
	codings   int
	chunked   bool
	close     bool
	keepAlive bool
	upgrade   bool   // Connection names it
	proto     string // value of Upgrade, lower case
	names     bool   // Connection names other fields
	conn      [4]string
	nconn     int
	hosts     int
	host      string
	expect    bool
	trailers  bool // TE: trailers
}

// fields parses the field lines of a head into h, less what concerns this
// connection alone.
func (r *Reader) fields(b []byte, h *exchange.Header, f *framing) error {
	limit := r.Limits.fields()
	*f = framing{length: exchange.UnknownLength}
	count := 0
	for len(b) > 0 {
		l, rest, err := line(b)
		if err != nil {
			return err
		}
		b = rest
		if count++; count > limit {
			return errFieldCount
		}
		name, value, err := field(l)
		if err != nil {
			return err
		}
		switch r.Limits.Underscores.Of(name) {
		case DropUnderscores:
			continue
		case RefuseUnderscores:
			return errUnderscore
		}
		keep, err := f.special(name, value)
		if err != nil {
			return err
		}
		if keep {
			h.Add(name, value)
		}
	}
	if f.trailers {
		h.Add("te", "trailers")
	}
	if f.names {
		h.DelFunc(func(x exchange.Field) bool { return f.named(x.Name) })
	}
	return nil
}

// field parses one field line; the name is lowered in place.
func field(l []byte) (name, value string, err error) {
	i := bytes.IndexByte(l, ':')
	if i <= 0 || !lowerToken(l[:i]) {
		if len(l) > 0 && (l[0] == ' ' || l[0] == '\t') {
			return "", "", errFold
		}
		return "", "", errName
	}
	v := view(trim(l[i+1:]))
	if !values(v) {
		return "", "", errValue
	}
	return view(l[:i]), v, nil
}

// Preface tells whether the unread bytes are the beginning of HTTP/2 (RFC 9113, 3.4).
func (r *Reader) Preface() bool {
	return bytes.HasPrefix(r.buf[r.start:r.end], []byte("PRI * HTTP/2.0\r\n\r\n"))
}

// First gives the first unread byte.
func (r *Reader) First() (byte, bool) {
	if r.start == r.end {
		return 0, false
	}
	return r.buf[r.start], true
}
