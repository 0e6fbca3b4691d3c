package http1

import "errors"

// Error is a message that cannot be taken. The connection it came by is closed
// after the answer, since nobody knows where the next message would begin.
type Error struct {
	Status int    // what a client is told: 400, 414, 417, 426, 431, 501
	Detail string // Envoy's response code detail
	Reason string // for the log; holds no text of the peer
}

func (e *Error) Error() string { return "http1: " + e.Reason }

func bad(reason string) *Error { return &Error{400, "http1.codec_error", reason} }

// Errors of framing and grammar (RFC 9112, RFC 9110 section 5).
var (
	errRequestLine   = bad("malformed request line")
	errTarget        = bad("malformed request target")
	errMethod        = bad("malformed method")
	errVersion       = &Error{426, "low_version", "HTTP version other than 1.1"}
	errStatusLine    = bad("malformed status line")
	errName          = bad("malformed field name")
	errValue         = bad("control character in a field value")
	errFold          = bad("obsolete line folding")
	errLineEnd       = bad("bare CR or LF")
	errHost          = &Error{400, "http1.invalid_host", "malformed Host"}
	errHosts         = &Error{400, "http1.multiple_hosts", "several Host fields"}
	errNoHost        = &Error{400, "missing_host_header", "no Host field"}
	errLength        = &Error{400, "http1.invalid_content_length", "malformed Content-Length"}
	errLengths       = &Error{400, "http1.multiple_content_lengths", "several Content-Length fields"}
	errLengthChunked = &Error{400, "http1.content_length_and_chunked_not_allowed", "Content-Length with Transfer-Encoding"}
	errCoding        = &Error{501, "http1.invalid_transfer_encoding", "Transfer-Encoding other than chunked"}
	errCodingBody    = &Error{400, "http1.invalid_transfer_encoding", "Transfer-Encoding where none is allowed"}
	errConnectBody   = &Error{400, "http1.connect_body_not_allowed", "CONNECT with a body"}
	errTargetSize    = &Error{414, "request_headers_too_large", "request target too long"}
	errHeadSize      = &Error{431, "request_headers_too_large", "head too large"}
	errFieldCount    = &Error{431, "request_headers_too_large", "too many fields"}
	errChunkSize     = bad("malformed chunk size")
	errChunkExt      = bad("malformed or too large chunk extension")
	errChunkEnd      = bad("chunk without its line end")
	errTrailer       = &Error{400, "http1.invalid_trailer", "field not allowed as trailer"}
	errTrailerSize   = &Error{431, "request_headers_too_large", "trailers too large"}
	errUnderscore    = &Error{400, "http1.unexpected_underscore", "underscore in a field name"}
	errUpgrade       = bad("malformed Upgrade")
	errExpect        = &Error{417, "http1.expectation_failed", "unknown expectation"}
)

// ErrTruncated is a body that ended before its declared end.
var ErrTruncated = errors.New("http1: body ended early")

// ErrUnsent is a header field that must not be written: a name or value that
// would break the framing.
var ErrUnsent = errors.New("http1: field name or value that must not be sent")
