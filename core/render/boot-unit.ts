import type { ClusterPlan, NodePlan } from "../plan/cluster-plan.js";

/**
 * The systemd unit that starts the node's container after a boot or a crash. Docker's own restart policies do not
 * retry a container whose device node is missing at start (observed with docker 20.10), so this unit waits for the devices
 * and for the weights, and is the only one that starts the container.
 *
 * `Wants=` and not `Requires=` docker: a restart of dockerd must not stop the unit for good. No `RequiresMountsFor=`: a failed
 * mount would be final ("Dependency failed"), while the bounded wait is tried again after `RestartSec`.
 */
export function renderBootUnit(plan: ClusterPlan, node: NodePlan): string {
  const { stopGraceSec } = node.container;
  return `[Unit]
Description=vLLM cluster ${plan.cluster}, node ${node.name}
Wants=docker.service network-online.target
After=docker.service network-online.target remote-fs.target
StartLimitIntervalSec=0

[Service]
Type=exec
Environment=LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStartPre=/bin/bash ${plan.baseDir}/bin/boot.sh wait ${bootPaths(node).map(unitWord).join(" ")}
ExecStart=/usr/bin/env docker start --attach ${plan.containerName}
ExecStop=/usr/bin/env docker stop --time ${stopGraceSec} ${plan.containerName}
StandardOutput=null
StandardError=journal
Restart=always
RestartSec=5
TimeoutStartSec=360
TimeoutStopSec=${stopGraceSec + 30}

[Install]
WantedBy=multi-user.target
`;
}

/** What must exist before the container can start: devices, and what it mounts from outside its own directory. */
function bootPaths(node: NodePlan): readonly string[] {
  return [...node.container.devices, ...node.container.mounts.map((mount) => mount.source)];
}

/** One word of a unit's command line: systemd expands `%` and `$` and splits at blanks. */
function unitWord(word: string): string {
  const escaped = word.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  return `"${escaped.replaceAll("%", "%%").replaceAll("$", "$$$$")}"`;
}
