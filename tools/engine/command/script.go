package main

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// Script is what remote and local commands have in common.
type Script struct {
	Create                 *string           `pulumi:"create,optional"`
	Update                 *string           `pulumi:"update,optional"`
	Delete                 *string           `pulumi:"delete,optional"`
	Stdin                  *string           `pulumi:"stdin,optional"`
	Environment            map[string]string `pulumi:"environment,optional"`
	Triggers               *[]any            `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	AddPreviousOutputInEnv *bool             `pulumi:"addPreviousOutputInEnv,optional"`
	Logging                *Logging          `pulumi:"logging,optional"`
}

// Result is what a run leaves in the state.
type Result struct {
	Stdout string `pulumi:"stdout"`
	Stderr string `pulumi:"stderr"`
}

// env is the environment of one run; previous is nil on create.
func (s *Script) env(previous *Result) map[string]string {
	env := map[string]string{}
	for name, value := range s.Environment {
		env[name] = value
	}
	if previous != nil && or(s.AddPreviousOutputInEnv, true) {
		for name, value := range map[string]string{
			"PULUMI_COMMAND_STDOUT": previous.Stdout,
			"PULUMI_COMMAND_STDERR": previous.Stderr,
		} {
			if value != "" {
				env[name] = value
			}
		}
	}
	return env
}

// onUpdate is the command that an update runs: `update`, else `create` once more.
func (s *Script) onUpdate() *string {
	if s.Update != nil {
		return s.Update
	}
	return s.Create
}

// stdin is nil when there is none, so that the command sees an empty input.
func (s *Script) stdin() *strings.Reader {
	return strings.NewReader(or(s.Stdin, ""))
}

// Logging says which streams are shown while the command runs; both when it is not set.
type Logging string

const (
	logStdout Logging = "stdout"
	logStderr Logging = "stderr"
	logBoth   Logging = "stdoutAndStderr"
	logNone   Logging = "none"
)

// Values lists the accepted values; anything else is refused by the check of the inputs.
func (Logging) Values() []infer.EnumValue[Logging] {
	return []infer.EnumValue[Logging]{
		{Name: "Stdout", Value: logStdout},
		{Name: "Stderr", Value: logStderr},
		{Name: "StdoutAndStderr", Value: logBoth},
		{Name: "None", Value: logNone},
	}
}

func newID(name string) (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return name + hex.EncodeToString(random[:]), nil
}

func or[T any](value *T, fallback T) T {
	if value == nil {
		return fallback
	}
	return *value
}
