package main

import (
	"context"
	"errors"

	"github.com/kvmlab/kvmlab/internal/watch"
)

func (o *watchOptions) runLive(context.Context, watch.Selection) error { return errors.New("live") }

func (o *watchOptions) runPredict(context.Context, func() (*watch.Record, error)) error {
	return errors.New("predict")
}

func runLadder(context.Context, *app, string, func() (*watch.Record, error), *watch.Follower) error {
	return errors.New("ladder")
}
