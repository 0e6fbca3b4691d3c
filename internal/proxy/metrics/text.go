package metrics

import (
	"math"
	"strconv"
	"strings"
)

// label is one label of a sample.
type label struct{ name, value string }

// textWriter collects the text format.
type textWriter struct {
	b     []byte
	plain bool // "name{...}: value", no comments
}

func (t *textWriter) head(name string, kind Kind, help string) {
	if t.plain {
		return
	}
	t.b = append(t.b, "# HELP "+name+" "+strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help)+"\n# TYPE "+name+" "+string(kind)+"\n"...)
}

var labelValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (t *textWriter) sample(name string, labels []label, v float64, more ...label) {
	t.b = append(t.b, name...)
	if len(labels)+len(more) > 0 {
		t.b = append(t.b, '{')
		n := 0
		for _, ls := range [][]label{labels, more} {
			for _, l := range ls {
				if n > 0 {
					t.b = append(t.b, ',')
				}
				n++
				t.b = append(t.b, l.name+`="`+labelValue.Replace(strings.ToValidUTF8(l.value, "?"))+`"`...)
			}
		}
		t.b = append(t.b, '}')
	}
	if t.plain {
		t.b = append(t.b, ':')
	}
	t.b = append(append(append(t.b, ' '), number(v)...), '\n')
}

func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
