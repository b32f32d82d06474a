// Package untrusted is the border between a guest and the host. Whoever is root in a guest writes its frames, its files and
// its agent's answers, and kvmlab, which runs as root, reads them. So what comes in has a budget ([Reader], [Budget]), and
// a text is made visible when it enters ([Visible]) and not when it is printed: of the many places that print, one
// would forget it.
//
// What a student asks to see as it is stays as it is: the console, and the output of a command in the guest.
//
// The package is pure and imports the standard library only.
package untrusted
