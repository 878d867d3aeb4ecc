// Command pulumi-language-nodejs is a TEST DOUBLE of the Pulumi Node.js language host, for machines
// that cannot download the official one. It only starts the entry points that the @pulumi/pulumi package
// itself brings along (cmd/run, cmd/run-policy-pack, cmd/run-plugin). The program talks to the engine's
// own resource monitor, with no proxy in between, so everything that the SDK and the engine both know
// (resource hooks, transforms, policy packs) works. It is not meant for real clusters.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// Version is the version of the engine that the double is built for; set with -ldflags -X.
var Version = "0.0.0"

func main() {
	// The engine may pass all of these, then its own address as last argument.
	flags := flag.NewFlagSet("pulumi-language-nodejs", flag.ExitOnError)
	tracing := flags.String("tracing", "", "tracing endpoint, handed on to programs")
	verbose := flags.Int("v", 0, "log level; at 1 and above the test double names itself")
	_ = flags.Bool("logtostderr", false, "accepted, no effect")
	_ = flags.Bool("logflow", false, "accepted, no effect")
	_ = flags.String("root", "", "accepted, no effect")
	_ = flags.Parse(os.Args[1:])

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	host := newHost(ctx, *tracing)
	if n := flags.NArg(); n > 0 {
		host.engine = flags.Arg(n - 1)
		if err := rpcutil.Healthcheck(ctx, host.engine, time.Minute, stop); err != nil {
			fatal("cannot watch the engine: %v", err)
		}
		go stopWithParent(stop)
	}

	quit := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: quit,
		Init: func(srv *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(srv, host)
			return nil
		},
	})
	if err != nil {
		fatal("cannot serve: %v", err)
	}
	if *verbose > 0 {
		fmt.Fprintf(os.Stderr, "nodejs language host: test double for %s, not the official host\n", Version)
	}
	fmt.Println(handle.Port) // the engine reads the port from the first line

	select {
	case err = <-handle.Done:
	case <-ctx.Done(): // signal or engine gone: the programs were told by ctx
		close(quit)
		select {
		case err = <-handle.Done:
		case <-time.After(graceTime + time.Second):
		}
	}
	if err != nil {
		fatal("%v", err)
	}
}

// stopWithParent ends the host when the engine dies without a word: the engine
// holds the other end of the standard input, which then closes.
func stopWithParent(stop func()) {
	if st, err := os.Stdin.Stat(); err != nil || st.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
}

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "nodejs language host (test double): "+format+"\n", args...)
	os.Exit(1)
}
