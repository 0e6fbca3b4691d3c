package jose

import (
	"encoding/base64"
	"strings"
)

// strict64 is base64url as RFC 7515, 2 wants it: no padding, and the bits of the
// last character that carry nothing are zero.
var strict64 = base64.RawURLEncoding.Strict()

// decode64 decodes into dst, which has room (strict64.DecodedLen). Unlike
// encoding/base64 it refuses CR and LF, which that skips.
func decode64(dst []byte, s string) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		if !is64[s[i]] {
			return nil, false
		}
	}
	n, err := strict64.Decode(dst, []byte(s))
	return dst[:n], err == nil
}

// decode64String decodes into a new slice.
func decode64String(s string) ([]byte, bool) {
	return decode64(make([]byte, strict64.DecodedLen(len(s))), s)
}

// decode64Loose decodes a signature and tells whether its padding bits are other
// than zero. Such a token is refused in any case, but only Verify can say by which
// text: see there.
func decode64Loose(s string) (b []byte, loose, ok bool) {
	if b, ok = decode64String(s); ok {
		return b, false, true
	}
	if b, ok = decode64(make([]byte, strict64.DecodedLen(len(s))), clearPadding(s)); ok {
		return b, true, true
	}
	return nil, false, false
}

// clearPadding sets the bits of the last character that carry nothing to zero.
func clearPadding(s string) string {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	keep := map[int]int{2: 0x30, 3: 0x3c}[len(s)%4]
	if keep == 0 {
		return s
	}
	v := strings.IndexByte(chars, s[len(s)-1])
	if v < 0 {
		return s
	}
	return s[:len(s)-1] + string(chars[v&keep])
}

// is64 are the characters of base64url.
var is64 = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		t[c] = true
	}
	return t
}()
