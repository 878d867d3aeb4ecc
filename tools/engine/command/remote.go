package main

import (
	"context"
	"fmt"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// RemoteCommand is command:remote:Command.
type RemoteCommand struct{}

// RemoteCommandArgs are the inputs.
type RemoteCommandArgs struct {
	Script
	Connection *Connection `pulumi:"connection" provider:"secret"`
}

// RemoteCommandState is what the stack keeps.
type RemoteCommandState struct {
	RemoteCommandArgs
	Result
}

// Annotate sets the type token.
func (r *RemoteCommand) Annotate(a infer.Annotator) { a.SetToken("remote", "Command") }

func (s *RemoteCommandState) run(ctx context.Context, script string, previous *Result) error {
	client, closeAll, err := s.Connection.dial(ctx)
	if err != nil {
		return err
	}
	defer closeAll()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	for name, value := range s.env(previous) {
		err := session.Setenv(name, value)
		switch {
		case err == nil:
		case strings.HasPrefix(name, "PULUMI_COMMAND_"):
			p.GetLogger(ctx).Warningf("the server does not accept %s: %v", name, err)
		default:
			return fmt.Errorf("could not set environment variable %q: %w", name, err)
		}
	}
	session.Stdin = s.stdin()
	out := newOutput(ctx)
	session.Stdout, session.Stderr = out.writers(s.Logging)
	if err := session.Run(script); err != nil {
		return fmt.Errorf("%w: running %q:\n%s", err, script, out.both.String())
	}
	s.Result, err = out.result()
	return err
}

// Create runs the create command.
func (*RemoteCommand) Create(
	ctx context.Context, req infer.CreateRequest[RemoteCommandArgs],
) (infer.CreateResponse[RemoteCommandState], error) {
	state := RemoteCommandState{RemoteCommandArgs: req.Inputs}
	id, err := newID(req.Name)
	if err == nil && !req.DryRun && state.Script.Create != nil {
		err = state.run(ctx, *state.Script.Create, nil)
	}
	return infer.CreateResponse[RemoteCommandState]{ID: id, Output: state}, err
}

// Update runs the update command, else the create command.
func (*RemoteCommand) Update(
	ctx context.Context, req infer.UpdateRequest[RemoteCommandArgs, RemoteCommandState],
) (infer.UpdateResponse[RemoteCommandState], error) {
	state := RemoteCommandState{RemoteCommandArgs: req.Inputs, Result: req.State.Result}
	var err error
	if script := state.onUpdate(); script != nil && !req.DryRun {
		err = state.run(ctx, *script, &req.State.Result)
	}
	return infer.UpdateResponse[RemoteCommandState]{Output: state}, err
}

// Delete runs the delete command with the inputs, connection included, of the last successful run.
func (*RemoteCommand) Delete(
	ctx context.Context, req infer.DeleteRequest[RemoteCommandState],
) (infer.DeleteResponse, error) {
	if req.State.Script.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	previous := req.State.Result
	return infer.DeleteResponse{}, req.State.run(ctx, *req.State.Script.Delete, &previous)
}
