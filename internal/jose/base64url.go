package jose

// decode64 writes what s, base64url without padding (RFC 7515, 2), stands for to
// dst, which has room for size64(s) bytes, and gives that part of it. spare are the
// bits of the last character that carry nothing: whoever takes other than zero gives
// a text two spellings. Nothing but the 64 characters is taken, and no length that
// no text has.
func decode64(dst []byte, s string) (out []byte, spare byte, ok bool) {
	dst = dst[:size64(s)]
	out = dst
	for ; len(s) >= 4 && len(dst) >= 3; s, dst = s[4:], dst[3:] {
		a, b, c, d := value64[s[0]], value64[s[1]], value64[s[2]], value64[s[3]]
		if a|b|c|d >= 64 {
			return nil, 0, false
		}
		dst[0], dst[1], dst[2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
	}
	switch len(s) {
	case 0:
		return out, 0, true
	case 2:
		a, b := value64[s[0]], value64[s[1]]
		dst[0] = a<<2 | b>>4
		return out, b & 0x0f, a|b < 64
	case 3:
		a, b, c := value64[s[0]], value64[s[1]], value64[s[2]]
		dst[0], dst[1] = a<<2|b>>4, b<<4|c>>2
		return out, c & 0x03, a|b|c < 64
	}
	return nil, 0, false
}

// size64 is how many bytes s stands for.
func size64(s string) int { return len(s) * 3 / 4 }

// decode64Strict decodes into a new slice and wants the spare bits to be zero.
func decode64Strict(s string) ([]byte, bool) {
	b, spare, ok := decode64(make([]byte, size64(s)), s)
	return b, ok && spare == 0
}

// decode64Text is decode64Strict for text. It works in room, if that is enough.
func decode64Text(room []byte, s string) (string, bool) {
	if size64(s) > len(room) {
		room = make([]byte, size64(s))
	}
	b, spare, ok := decode64(room, s)
	return string(b), ok && spare == 0
}

// value64 is what each character stands for, 255 if it is none of base64url's.
var value64 = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for v, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		t[c] = byte(v)
	}
	return t
}()
