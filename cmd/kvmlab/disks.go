package main

import (
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/state"
)

// confirmLoss asks before the disks of guests are deleted, and names them. yes is the answer given beforehand. command is
// what was typed, for the hint.
func (a *app) confirmLoss(command string, guests []string, yes bool) error {
	if yes || len(guests) == 0 {
		return nil
	}
	names := strings.Join(guests, ", ")
	if a.InIsTerminal() && a.ErrIsTerminal() {
		if answer, err := a.ask("disks.ask", "guests", names); err == nil && a.isYes(answer) {
			return nil
		}
	}
	return diag.New(diag.DisksLost, diag.Args{"guests": names, "command": command})
}

// labDisks lists the disks of labs, as "lab/guest".
func labDisks(dirs state.Dirs, labs []string) ([]string, error) {
	var all []string
	for _, name := range labs {
		files, err := dirs.Lab(name)
		if err != nil {
			return nil, err
		}
		guests, err := files.Disks()
		if err != nil {
			return nil, err
		}
		for _, guest := range guests {
			all = append(all, name+"/"+guest)
		}
	}
	return all, nil
}

// removeDisks deletes all disks of a lab that is down, and counts them.
func removeDisks(dirs state.Dirs, name string) (int, error) {
	files, err := dirs.Lab(name)
	if err != nil {
		return 0, err
	}
	guests, err := files.Disks()
	if err != nil {
		return 0, err
	}
	for i, guest := range guests {
		if err := files.RemoveDisk(guest); err != nil {
			return i, err
		}
	}
	return len(guests), nil
}
