// Package scripts holds the shell scripts of the workshop; its tests show what scripts/sandbox promises.
package scripts
