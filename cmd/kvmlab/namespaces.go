package main

import (
	"context"

	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/netsetup"
)

// labNamespaces are the network namespaces of isolated labs, as the kernel has them: engine.Config.Namespaces.
type labNamespaces struct{}

// Labs lists the labs that have one.
func (labNamespaces) Labs(ctx context.Context) ([]string, error) { return netsetup.NamespaceLabs(ctx) }

// Open opens a lab's.
func (labNamespaces) Open(_ context.Context, lab string) (engine.Inside, error) {
	h, err := netsetup.OpenNamespace(lab)
	if err != nil {
		return nil, err // not a nil handle in an interface that is not nil
	}
	return h, nil
}

// Ensure makes a lab's.
func (labNamespaces) Ensure(ctx context.Context, lab string) (bool, error) {
	return netsetup.EnsureNamespace(ctx, lab)
}

// Remove removes a lab's.
func (labNamespaces) Remove(ctx context.Context, lab string) (bool, error) {
	return netsetup.RemoveNamespace(ctx, lab)
}
