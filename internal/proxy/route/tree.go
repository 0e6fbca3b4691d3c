package route

import "strings"

// tree finds those of many texts that a path begins with, in one walk along the
// path: what it costs depends on the path's length, not on the number of texts.
// Each node stands for the text of the edges that lead to it.
type tree struct {
	edge     string // from the node above
	prefixes []int32
	exacts   []int32 // routes to this very path
	next     string  // first bytes of the edges below, in the order of below
	below    []*tree
}

// at gives the node of a text, which it makes if it is not there.
func (t *tree) at(text string) *tree {
	for text != "" {
		i := strings.IndexByte(t.next, text[0])
		if i < 0 {
			n := &tree{edge: text}
			t.next, t.below = t.next+text[:1], append(t.below, n)
			return n
		}
		n := t.below[i]
		same := 0
		for same < len(n.edge) && same < len(text) && n.edge[same] == text[same] {
			same++
		}
		if same < len(n.edge) {
			rest := *n
			rest.edge = n.edge[same:]
			*n = tree{edge: n.edge[:same], next: rest.edge[:1], below: []*tree{&rest}}
		}
		t, text = n, text[same:]
	}
	return t
}

// step goes down along the path; nil if no text goes on like that.
func (t *tree) step(path string) *tree {
	if path == "" {
		return nil
	}
	i := strings.IndexByte(t.next, path[0])
	if i < 0 {
		return nil
	}
	if n := t.below[i]; strings.HasPrefix(path, n.edge) {
		return n
	}
	return nil
}
