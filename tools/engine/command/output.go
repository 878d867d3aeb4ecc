package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
)

// maxLine is the longest line that the official plugin can show: its reader stops at a longer one,
// nobody empties the pipe any more, and the command hangs for ever.
const maxLine = 64 << 10

var errLineTooLong = errors.New("test double: a line of more than 64 KiB was written to a stream that is" +
	" logged; the official command plugin hangs here for ever: set `logging` to none, or write shorter lines")

// output collects the two streams of one run and shows their lines while it runs.
type output struct {
	mu                   sync.Mutex
	stdout, stderr, both bytes.Buffer
	show                 func(line string)
	line                 []byte // of both streams: the official plugin has one pipe for them too
	tooLong              bool
}

func newOutput(ctx context.Context) *output {
	logger := p.GetLogger(ctx)
	return &output{show: func(line string) { logger.InfoStatus(line) }}
}

// writers are where the streams of the command go.
func (o *output) writers(logging *Logging) (stdout, stderr io.Writer) {
	mode := or(logging, logBoth)
	return &stream{o, &o.stdout, mode == logBoth || mode == logStdout},
		&stream{o, &o.stderr, mode == logBoth || mode == logStderr}
}

// result is what goes into the state; call it when the command has ended.
func (o *output) result() (Result, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.line) > 0 {
		o.show(string(o.line))
		o.line = nil
	}
	if o.tooLong {
		return Result{}, errLineTooLong
	}
	return Result{
		Stdout: strings.TrimSuffix(o.stdout.String(), "\n"),
		Stderr: strings.TrimSuffix(o.stderr.String(), "\n"),
	}, nil
}

type stream struct {
	output *output
	own    *bytes.Buffer
	shown  bool
}

func (s *stream) Write(data []byte) (int, error) {
	o := s.output
	o.mu.Lock()
	defer o.mu.Unlock()
	s.own.Write(data)
	o.both.Write(data)
	if s.shown {
		o.showLines(data)
	}
	return len(data), nil
}

func (o *output) showLines(data []byte) {
	o.line = append(o.line, data...)
	for {
		end := bytes.IndexByte(o.line, '\n')
		if end >= maxLine || end < 0 && len(o.line) >= maxLine {
			o.tooLong = true
		}
		if end < 0 {
			return
		}
		o.show(strings.TrimSuffix(string(o.line[:end]), "\r"))
		o.line = o.line[end+1:]
	}
}
