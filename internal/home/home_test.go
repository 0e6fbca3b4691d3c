package home

import "testing"

func TestDefault(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	for _, c := range []struct{ usher, state, want string }{
		{"/h", "/s", "/h"},
		{"", "/s", "/s/usher"},
		{"", "s", "/home/me/.local/state/usher"},
		{"", "", "/home/me/.local/state/usher"},
	} {
		t.Setenv("USHER_HOME", c.usher)
		t.Setenv("XDG_STATE_HOME", c.state)
		if got, err := Default(); err != nil || string(got) != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}
