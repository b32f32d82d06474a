package conffile

import "github.com/kvmlab/kvmlab/untrusted"

// What the files of one document may cost together, in octets of text and in what else makes work. The largest
// configuration of a class, with a reservation for each of a thousand cards, costs a third of it.
const (
	documentBudget = 1 << 20
	// fileCost is for a file, or for naming one, beside its text.
	fileCost = 64
	// statementCost is for a statement, a line or a value, beside its text: whoever asks something of a document goes
	// through all of them.
	statementCost = 64
	// wordCost is for a word in a statement, or a field in a line.
	wordCost = 8
	// maxProblems is how many problems are kept: nobody mends more at a time.
	maxProblems = 500
	// maxDepth is how deep blocks are followed.
	maxDepth = 64
)

// account is what a document has cost so far, and where its problems go.
type account struct {
	budget   *untrusted.Budget
	problems *[]Problem
}

func newAccount(problems *[]Problem) *account {
	return &account{untrusted.NewBudget(documentBudget), problems}
}

// problem notes a departure from the grammar.
func (a *account) problem(p Problem) {
	if len(*a.problems) < maxProblems {
		*a.problems = append(*a.problems, p)
	}
}

// pays takes a cost off the budget. The first that cannot be paid is a problem, at the place of at.
func (a *account) pays(cost int, at Value) bool {
	if a.budget.Spent() {
		return false
	}
	if !a.budget.Take(cost) {
		a.tooMuch(at)
		return false
	}
	return true
}

// tooMuch ends the reading: the problem goes in front of all others, for what is known is not the whole document.
func (a *account) tooMuch(at Value) {
	a.budget.End()
	*a.problems = append([]Problem{{TooMuch, at.Pos, at.Pos.File}}, *a.problems...)
}
