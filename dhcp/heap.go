package dhcp

// bindingHeap orders bindings by when they may be given to somebody else, the earliest first. It is a binary heap
// that keeps each binding's place in it, so that a renewal moves one entry instead of searching for it.
type bindingHeap struct{ list []*binding }

// first returns the binding that has been free for longest, or nil.
func (h *bindingHeap) first() *binding {
	if len(h.list) == 0 {
		return nil
	}
	return h.list[0]
}

// put inserts a binding, or moves it to where its avail now belongs.
func (h *bindingHeap) put(b *binding) {
	if b.index < 0 {
		b.index = len(h.list)
		h.list = append(h.list, b)
	}
	h.down(h.up(b.index))
}

// up moves an entry towards the root and returns where it ends.
func (h *bindingHeap) up(i int) int {
	for i > 0 {
		parent := (i - 1) / 2
		if h.list[parent].avail <= h.list[i].avail {
			break
		}
		h.swap(i, parent)
		i = parent
	}
	return i
}

func (h *bindingHeap) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h.list); c++ {
			if h.list[c].avail < h.list[least].avail {
				least = c
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

func (h *bindingHeap) swap(i, j int) {
	l := h.list
	l[i], l[j] = l[j], l[i]
	l[i].index, l[j].index = i, j
}
