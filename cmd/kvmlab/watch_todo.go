package main

import (
	"context"
	"errors"

	"github.com/kvmlab/kvmlab/internal/watch"
)

func (o *watchOptions) runPredict(context.Context, func() (*watch.Record, error)) error {
	return errors.New("predict")
}
