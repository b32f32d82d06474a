package capture

import (
	"errors"

	"golang.org/x/net/bpf"
)

// protoTCP is only filtered for, not decoded.
const protoTCP = 6

// filterNode is a condition. emit appends code that ends in a jump to yes or no.
type filterNode interface {
	emit(a *assembler, yes, no label)
}

type (
	// allOf is X and Y.
	allOf struct{ left, right filterNode }
	// anyOf is X or Y.
	anyOf struct{ left, right filterNode }
	// noneOf is not X.
	noneOf struct{ inner filterNode }
	// compare compares size octets at off, after a mask if there is one.
	compare struct {
		off    uint32
		size   int
		mask   uint32
		masked bool
		value  uint32
	}
	// behindIPv4 compares two octets behind the IPv4 header, whose length varies; off counts from its beginning as if it
	// had no octets, so 14 is the source port.
	behindIPv4 struct{ off, value uint32 }
)

// label is a place in the program that may not be known yet.
type label int

// jump is a conditional jump whose targets are labels.
type jump struct {
	at      int
	yes, no label
}

// assembler collects instructions.
type assembler struct {
	program []bpf.Instruction
	jumps   []jump
	places  []int // by label; -1 while unknown
}

func (a *assembler) label() label {
	a.places = append(a.places, -1)
	return label(len(a.places) - 1)
}

func (a *assembler) place(l label) { a.places[l] = len(a.program) }

func (a *assembler) jumpIf(value uint32, yes, no label) {
	a.jumps = append(a.jumps, jump{len(a.program), yes, no})
	a.program = append(a.program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: value})
}

func (n allOf) emit(a *assembler, yes, no label) {
	both := a.label()
	n.left.emit(a, both, no)
	a.place(both)
	n.right.emit(a, yes, no)
}

func (n anyOf) emit(a *assembler, yes, no label) {
	second := a.label()
	n.left.emit(a, yes, second)
	a.place(second)
	n.right.emit(a, yes, no)
}

func (n noneOf) emit(a *assembler, yes, no label) { n.inner.emit(a, no, yes) }

func (n compare) emit(a *assembler, yes, no label) {
	a.program = append(a.program, bpf.LoadAbsolute{Off: n.off, Size: n.size})
	if n.masked {
		a.program = append(a.program, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: n.mask})
	}
	a.jumpIf(n.value, yes, no)
}

func (n behindIPv4) emit(a *assembler, yes, no label) {
	a.program = append(a.program, bpf.LoadMemShift{Off: ethernetSize}, bpf.LoadIndirect{Off: n.off, Size: 2})
	a.jumpIf(n.value, yes, no)
}

// maxSkip is how far a conditional jump reaches.
const maxSkip = 255

// assemble makes a program of a condition: it returns 0 to drop a frame, or its size to keep it.
func assemble(node filterNode) ([]bpf.Instruction, error) {
	a := &assembler{}
	yes, no := a.label(), a.label()
	node.emit(a, yes, no)
	a.place(yes)
	a.program = append(a.program, bpf.RetConstant{Val: snapLength})
	a.place(no)
	a.program = append(a.program, bpf.RetConstant{Val: 0})
	for _, j := range a.jumps {
		skipYes, skipNo := a.places[j.yes]-j.at-1, a.places[j.no]-j.at-1
		if skipYes > maxSkip || skipNo > maxSkip {
			return nil, errors.New("the expression is too long")
		}
		in := a.program[j.at].(bpf.JumpIf) //nolint:forcetypeassert // jumpIf has put it there
		in.SkipTrue, in.SkipFalse = uint8(skipYes), uint8(skipNo)
		a.program[j.at] = in
	}
	return a.program, nil
}
