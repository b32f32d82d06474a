// Package cliui is what kvmlab's commands show people: the three streams and what they can do (a terminal, its
// width, colour), tables, JSON output, the live progress of `kvmlab up`, and the message catalogues in English,
// Spanish and Catalan.
//
// Data goes to Out, everything else to Err. Nothing here hides the cursor or switches to another screen, so that a
// program that dies half-way leaves a usable terminal; raw mode (for the console) is undone by Restore.
package cliui
