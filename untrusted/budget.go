package untrusted

import (
	"errors"
	"fmt"
	"io"
)

// ErrTooMuch means that a guest has sent, or asks for, more than there is a budget for.
var ErrTooMuch = errors.New("more than a guest may send")

// Reader passes on what r gives, and fails with ErrTooMuch when there are more than limit octets: what is cut off would
// otherwise be taken for the whole.
func Reader(r io.Reader, limit int64) io.Reader { return &reader{r, limit, limit} }

type reader struct {
	from        io.Reader
	left, limit int64
}

// Read reads up to one octet more than is allowed: whether there is one decides.
func (r *reader) Read(p []byte) (int, error) {
	if int64(len(p)) > r.left+1 {
		p = p[:r.left+1]
	}
	n, err := r.from.Read(p)
	if int64(n) > r.left {
		n, err = int(r.left), fmt.Errorf("%w: over %d octets", ErrTooMuch, r.limit)
	}
	r.left -= int64(n)
	return n, err
}

// Budget is what the work on something of a guest may cost in all, however many files it is spread over or how often one
// of them is named. Whoever works says before each step what it costs.
type Budget struct {
	left  int
	spent bool
}

// NewBudget is a budget of so many units, most often octets to be read.
func NewBudget(units int) *Budget { return &Budget{left: units} }

// Take takes a cost off the budget and reports whether it was there. Once something was refused, all that follows is.
func (b *Budget) Take(cost int) bool {
	if b.spent || cost > b.left {
		b.spent = true
		return false
	}
	b.left -= cost
	return true
}

// End refuses all that follows.
func (b *Budget) End() { b.spent = true }

// Spent reports whether something was refused.
func (b *Budget) Spent() bool { return b.spent }
