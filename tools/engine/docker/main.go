// Command pulumi-resource-docker is a TEST DOUBLE of the Pulumi "docker" resource plugin, for machines
// that cannot download the official one: the public Terraform bridge over the same Terraform provider
// that the official plugin embeds. It has no docker.Image (BuildKit builds), Service, Secret, Plugin.
// It is not meant for real clusters.
package main

import "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"

// Version is the version of the official plugin that is imitated; set with -ldflags -X.
var Version = "0.0.0"

func main() {
	// Node programs carry their own SDK, so the schema needs no more than the name.
	tfbridge.Main("docker", Version, provider(Version), []byte(`{"name":"docker"}`))
}
