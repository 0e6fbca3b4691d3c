package jsondoc

// few is up to how many names of an object are compared one by one.
const few = 32

// names finds names that an object has twice.
type names struct {
	first  int    // of the nodes: where the members begin
	count  int    // how many there are
	filter uint64 // a bit for each name, by sum
	many   map[string]struct{}
}

// add tells whether the members among nodes have that name already.
func (n *names) add(nodes []node, name string) bool {
	n.count++
	if n.count > few {
		return n.addMany(nodes, name)
	}
	bit := uint64(1) << sum(name)
	if n.filter&bit == 0 {
		n.filter |= bit
		return false
	}
	for rest := nodes[n.first:]; len(rest) > 0; rest = rest[rest[0].size:] {
		if rest[0].name == name {
			return true
		}
	}
	return false
}

// addMany keeps large objects from taking the square of their members' time.
func (n *names) addMany(nodes []node, name string) bool {
	if n.many == nil {
		n.many = make(map[string]struct{}, 2*few)
		for rest := nodes[n.first:]; len(rest) > 0; rest = rest[rest[0].size:] {
			n.many[rest[0].name] = struct{}{}
		}
	}
	if _, there := n.many[name]; there {
		return true
	}
	n.many[name] = struct{}{}
	return false
}

// sum is of little worth as a hash, but enough for names that nobody chose to have
// the same.
func sum(name string) uint {
	if name == "" {
		return 0
	}
	return (uint(len(name)) + 5*uint(name[0]) + 11*uint(name[len(name)/2]) + 23*uint(name[len(name)-1])) % 64
}

// clip bounds what an error shows of a name.
func clip(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	return name[:most] + "..."
}
