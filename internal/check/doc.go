// Package check says whether a student's work does what was asked, and what to look at when it does not.
//
// The checks of a scenario are declared in its checks.yaml, which [Parse] reads: what is asserted, how long to wait for
// it, what it is worth, and hints of growing openness in every language. A [Runner] tries them on [Evidence]. What was
// on the wire counts before what the host and the lease stores say, and that before what a guest says of itself. An
// assertion that something was not there needs a sign that it would have been seen: nothing passes because a cable is
// unplugged.
package check
