package main

import (
	"context"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	pulumi "github.com/pulumi/pulumi/pkg/v3/resource/provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	docker "github.com/terraform-providers/terraform-provider-docker/shim"
)

// provider maps the Terraform provider to the names of the official plugin. The names that the bridge
// would derive differ from the official ones in three places: registryAuth, command, networksAdvanced.
func provider(version string) tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:       shimv2.NewProvider(docker.New(version)),
		Name:    "docker",
		Version: version,
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_container": {
				Tok:                 tfbridge.MakeResource("docker", "index", "Container"),
				DeleteBeforeReplace: true,
				Fields: map[string]*tfbridge.SchemaInfo{
					"command":           {Name: "command"},
					"networks_advanced": {Name: "networksAdvanced"},
				},
			},
			"docker_image": {Tok: tfbridge.MakeResource("docker", "index", "RemoteImage")},
			"docker_network": {
				Tok:                 tfbridge.MakeResource("docker", "index", "Network"),
				DeleteBeforeReplace: true,
			},
			"docker_volume": {Tok: tfbridge.MakeResource("docker", "index", "Volume")},
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"docker_image":   {Tok: tfbridge.MakeDataSource("docker", "index", "getRemoteImage")},
			"docker_network": {Tok: tfbridge.MakeDataSource("docker", "index", "getNetwork")},
		},
		IgnoreMappings: []string{
			"docker_buildx_builder", "docker_config", "docker_logs", "docker_plugin", "docker_registry_image",
			"docker_registry_image_manifests", "docker_secret", "docker_service", "docker_tag",
		},
		Config: map[string]*tfbridge.SchemaInfo{
			"registry_auth": {Name: "registryAuth"},
		},
		PreConfigureCallbackWithLogger: nameYourself(version),
	}
	return info
}

func nameYourself(version string) tfbridge.PreConfigureCallbackWithLogger {
	return func(ctx context.Context, host *pulumi.HostClient, _ resource.PropertyMap, _ shim.ResourceConfig) error {
		text := "docker plugin: test double of " + version + ", not the official plugin"
		return host.Log(ctx, diag.Debug, "", text)
	}
}
