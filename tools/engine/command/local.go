package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// LocalCommand is command:local:Command, without assetPaths and archivePaths.
type LocalCommand struct{}

// LocalCommandArgs are the inputs.
type LocalCommandArgs struct {
	Script
	Dir         *string   `pulumi:"dir,optional"`
	Interpreter *[]string `pulumi:"interpreter,optional"`
}

// LocalCommandState is what the stack keeps.
type LocalCommandState struct {
	LocalCommandArgs
	Result
}

// Annotate sets the type token.
func (l *LocalCommand) Annotate(a infer.Annotator) { a.SetToken("local", "Command") }

func (s *LocalCommandState) run(ctx context.Context, script string, previous *Result) error {
	argv := []string{"/bin/sh", "-c"}
	if s.Interpreter != nil && len(*s.Interpreter) > 0 {
		argv = append([]string{}, *s.Interpreter...)
	}
	argv = append(argv, script)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = or(s.Dir, "")
	cmd.Env = os.Environ()
	for name, value := range s.env(previous) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdin = s.stdin()
	out := newOutput(ctx)
	cmd.Stdout, cmd.Stderr = out.writers(s.Logging)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: running %q:\n%s", err, strings.Join(argv, " "), out.both.String())
	}
	var err error
	s.Result, err = out.result()
	return err
}

// Create runs the create command.
func (*LocalCommand) Create(
	ctx context.Context, req infer.CreateRequest[LocalCommandArgs],
) (infer.CreateResponse[LocalCommandState], error) {
	state := LocalCommandState{LocalCommandArgs: req.Inputs}
	id, err := newID(req.Name)
	if err == nil && !req.DryRun && state.Script.Create != nil {
		err = state.run(ctx, *state.Script.Create, nil)
	}
	return infer.CreateResponse[LocalCommandState]{ID: id, Output: state}, err
}

// Update runs the update command, else the create command.
func (*LocalCommand) Update(
	ctx context.Context, req infer.UpdateRequest[LocalCommandArgs, LocalCommandState],
) (infer.UpdateResponse[LocalCommandState], error) {
	state := LocalCommandState{LocalCommandArgs: req.Inputs, Result: req.State.Result}
	var err error
	if script := state.onUpdate(); script != nil && !req.DryRun {
		err = state.run(ctx, *script, &req.State.Result)
	}
	return infer.UpdateResponse[LocalCommandState]{Output: state}, err
}

// Delete runs the delete command with the inputs of the last successful run.
func (*LocalCommand) Delete(
	ctx context.Context, req infer.DeleteRequest[LocalCommandState],
) (infer.DeleteResponse, error) {
	if req.State.Script.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	previous := req.State.Result
	return infer.DeleteResponse{}, req.State.run(ctx, *req.State.Script.Delete, &previous)
}
