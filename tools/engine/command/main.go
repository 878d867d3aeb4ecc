// Command pulumi-resource-command is a TEST DOUBLE of the Pulumi "command" resource plugin, for
// machines that cannot download the official one. It has the same tokens and properties for
// remote.Command and local.Command and follows the official behaviour that tests rely on: operations,
// diffs, state, side effects and their order, exit codes, error texts, streaming of the output. It is
// not meant for real clusters.
package main

import (
	"context"
	"fmt"
	"os"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/middleware/cancel"
)

// Version is the version of the official plugin that is imitated; set with -ldflags -X.
var Version = "0.0.0"

func main() {
	provider := cancel.Wrap(infer.Provider(infer.Options{
		Resources: []infer.InferredResource{
			infer.Resource(&RemoteCommand{}),
			infer.Resource(&LocalCommand{}),
		},
	}))
	configure := provider.Configure
	provider.Configure = func(ctx context.Context, req p.ConfigureRequest) error {
		p.GetLogger(ctx).Debugf("command plugin: test double of %s, not the official plugin", Version)
		if configure == nil { // infer leaves it out for a provider without configuration
			return nil
		}
		return configure(ctx, req)
	}
	if err := p.RunProvider(context.Background(), "command", Version, provider); err != nil {
		fmt.Fprintf(os.Stderr, "command plugin (test double): %v\n", err)
		os.Exit(1)
	}
}
