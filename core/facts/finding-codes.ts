/**
 * Every finding of the preflight by its stable code: what `docs/preflight.md` says about it is generated from here. `seenAs` are the
 * literal messages that people saw in the field instead, with the threads in which they asked.
 */
export const FINDINGS = {
  NODE_UNREACHABLE: {
    column: "ssh",
    meaning:
      "no connection, connection refused, dropped before the login, or broken while the checks ran",
    fix: "host down, wrong `address` or `ssh.port`, sshd stopped, firewall, a limit of sshd (`MaxStartups`). `ping`, then `systemctl status ssh` on the host",
    isAcceptable: false,
  },
  HOST_KEY: {
    column: "ssh",
    meaning:
      "the host shows another key than `hostKey`; refused before the login, both fingerprints are printed",
    fix: "the host was reinstalled (compare `vllm-cluster hostkeys` with the host's console, correct `hostKey`), the address moved to another machine, or somebody answers in the host's place",
    isAcceptable: false,
  },
  SSH_AGENT: {
    column: "ssh",
    meaning: "no agent, or an agent without keys",
    fix: '`eval "$(ssh-agent)"; ssh-add <key file>`. Keys come from the agent only, here and in Pulumi\'s connections',
    isAcceptable: false,
  },
  SSH_KEY: {
    column: "ssh",
    meaning: "the host accepts no key of the agent",
    fix: "public key not in `authorized_keys`, wrong `ssh.user`, locked account, or too many keys in the agent (`ssh-add -D`, then add the right one)",
    isAcceptable: false,
  },
  SSH_CLIENT: {
    column: "ssh",
    meaning: "the ssh client of the operator's machine is missing or too old",
    fix: "install OpenSSH 8.5 or newer (`KnownHostsCommand`)",
    isAcceptable: false,
  },
  FACTS_INCOMPLETE: {
    column: "ssh",
    meaning: "the look at the host did not come to its end",
    fix: "a login script that exits or hangs, a hanging mount or dockerd; the last words of the host are in the message",
    isAcceptable: false,
  },
  SUDO_MISSING: {
    column: "root",
    meaning: "the login user does not become root with `sudo -n`",
    fix: "add a rule with `NOPASSWD` to `/etc/sudoers.d/`, or remove `requiretty`",
    isAcceptable: false,
  },
  TOOLS_MISSING: {
    column: "tools",
    meaning: "a tool that the scripts call is in none of the standard directories",
    fix: "install bash, coreutils, util-linux, iproute2, docker, systemd; or link the tool into `/usr/local/bin`",
    isAcceptable: false,
  },
  SYSTEMD_MISSING: {
    column: "tools",
    meaning: "systemd is not the init of the host",
    fix: "the container is started at boot by a systemd unit; use a host that systemd boots",
    isAcceptable: false,
  },
  DOCKER_DOWN: {
    column: "docker",
    meaning: "the docker daemon does not answer to root",
    fix: "`systemctl enable --now docker`; `journalctl -u docker -n 50`",
    isAcceptable: false,
  },
  DOCKER_LOGIN: {
    column: "docker",
    meaning: "the login user does not find docker or may not use it",
    fix: "Pulumi's docker provider logs in as this user and calls `docker` without sudo: `usermod -aG docker <user>`, or link docker into `/usr/bin`",
    isAcceptable: false,
  },
  DOCKER_OLD: {
    column: "docker",
    meaning:
      "docker before 20.10.10: its seccomp profile answers `clone3` with EPERM, and programs of newer images cannot start threads (warning)",
    fix: "upgrade docker",
    isAcceptable: true,
    seenAs: ["`can't start new thread` at import"],
    threads: ["moby/moby#42680", "opensandbox-group/OpenSandbox#508"],
  },
  DOCKER_RUNTIME: {
    column: "docker",
    meaning: "the daemon has no runtime `runc`, which the container asks for",
    fix: "restore runc; ascend-docker-runtime may stay the default, it is not used",
    isAcceptable: true,
  },
  DEVICE_MISSING: {
    column: "devices",
    meaning: "a planned device node is not there, or is no character device",
    fix: "NPU driver not loaded, NPU gone (`npu-smi info`, `dmesg`), a directory left by a container that mounted a missing device; or plan fewer NPUs with `visibleDevices`",
    isAcceptable: false,
  },
  MOUNT_MISSING: {
    column: "mounts",
    meaning: "a path that the container mounts is not there",
    fix: "driver not installed, or installed elsewhere: set the named key of `hostPaths`; a file system that is not mounted",
    isAcceptable: false,
  },
  MOUNT_TYPE: {
    column: "mounts",
    meaning: "a driver file is a directory, or the other way round",
    fix: "`docker run -v` of a missing file leaves a directory in its place: remove it, install the driver again",
    isAcceptable: true,
  },
  MODEL_MISSING: {
    column: "model",
    meaning: "`model.path` is no directory, or holds no `config.json`",
    fix: "copy not finished, file system not mounted, wrong path",
    isAcceptable: false,
    seenAs: [
      "`Failed to get file list for '<path>' (invalid repository id)`",
      "a download that starts",
    ],
    threads: ["vllm-project/vllm#2289", "vllm-project/vllm#10886"],
  },
  MODEL_DIFFERS: {
    column: "model",
    meaning:
      "`config.json`, the index or the files of the weights are not the same as on the other nodes",
    fix: "a copy that is not finished, or another revision: compare the named file, copy again",
    isAcceptable: true,
    seenAs: ["`KeyError` in `load_model` on one node"],
    threads: ["vllm-project/vllm#881"],
  },
  MODEL_LAYOUT: {
    column: "memory",
    meaning:
      "vLLM refuses the layout for this model, e.g. heads that `tensorParallelSize` does not divide",
    fix: "change `serve.tensorParallelSize` or `serve.pipelineParallelSize`",
    isAcceptable: false,
    seenAs: ["`Total number of attention heads (X) must be divisible by tensor parallel size (Y)`"],
  },
  MEMORY_FIT: {
    column: "memory",
    meaning:
      "by the config and the sizes of the weights on this host, the model does not fit into the NPUs: vLLM will refuse to start",
    fix: "change what the message names first; `vllm-cluster fit` tries changes out; [memory-fit.md](memory-fit.md). A warning with `acceptMemoryFit: {reason: …}`",
    isAcceptable: false,
    seenAs: ["`Available KV cache memory: -0.87 GiB`"],
    threads: ["vllm-project/vllm-ascend#9372", "vllm-project/vllm-ascend#1987"],
  },
  MEMORY_TIGHT: {
    column: "memory",
    meaning: "little room is left for the cache; it may start",
    fix: "nothing, or as above",
    isAcceptable: false,
  },
  MEMORY_UNKNOWN: {
    column: "memory",
    meaning: "no formulas for the architecture of this model",
    fix: "nothing; watch vLLM's own log for `KV cache memory`",
    isAcceptable: false,
  },
  IMAGE_MISSING: {
    column: "image",
    meaning: "the host has no such image, and it cannot be pulled by this identity",
    fix: "wrong `digest` or `id`; load the image (`docker save … \\| ssh … docker load`)",
    isAcceptable: false,
  },
  IMAGE_UNKNOWN: {
    column: "image",
    meaning: "the host has no such image, and the registry could not be asked from there",
    fix: "no route or no login from the host's docker client; the pull may still work through a proxy or mirror of the daemon. `docker pull` on the host tells",
    isAcceptable: true,
  },
  IMAGE_ARCHITECTURE: {
    column: "image",
    meaning: "the image is for another processor than the host's",
    fix: "load or pull the image of this architecture (`arm64` for Kunpeng hosts)",
    isAcceptable: true,
    seenAs: ["`exec format error`"],
  },
  IMAGE_DIFFERS: {
    column: "image",
    meaning: "the image of one name is another one than on the other nodes",
    fix: "Ray refuses another Python patch level, vLLM another version: give all nodes one image, by `digest` or `id`",
    isAcceptable: true,
    seenAs: [
      "`Version mismatch: The cluster was started with: Ray: 2.43.0 … This process … Ray: 2.44.1`",
    ],
    threads: ["gpustack/gpustack#1640", "ray-project/ray#44063"],
  },
  ADDRESS_NOT_ON_INTERFACE: {
    column: "network",
    meaning: "`socketInterface` does not own the node's `address`",
    fix: "another interface name on this host: set `nodes[].socketInterface`; an address that a router translates: use the host's own",
    isAcceptable: true,
    seenAs: ["`Gloo connectFullMesh failed`", "`topo exchange agent get socket timeout!` (EI0015)"],
    threads: ["vllm-project/vllm#7074", "vllm-project/vllm#5094", "gpustack/gpustack#2125"],
  },
  INTERFACE_DOWN: {
    column: "network",
    meaning: "the interface is down or has no carrier",
    fix: "cable, switch port, `ip link set … up`",
    isAcceptable: true,
  },
  MTU_DIFFERS: {
    column: "network",
    meaning: "the interface has another MTU than those of the other nodes (warning)",
    fix: "large packets get lost and collectives hang: set one MTU on all hosts and switch ports",
    isAcceptable: true,
    seenAs: ["a collective hangs with MTU 1500 against 9000"],
    threads: ["NVIDIA/nccl#1957"],
  },
  HOSTNAME_LOOPBACK: {
    column: "network",
    meaning: "the host's own name resolves to a loopback address, or not at all (warning)",
    fix: "Gloo falls back to the loopback where no interface is set; write the host's address and name into `/etc/hosts`",
    isAcceptable: true,
    seenAs: [
      "`Unable to resolve hostname to a (local) address. Using the loopback address as fallback`",
    ],
    threads: ["vllm-project/vllm#7074", "sgl-project/sglang#3226"],
  },
  ADDRESS_WITHOUT_NAME: {
    column: "network",
    meaning: "addresses of nodes have no name on this host (warning)",
    fix: "write the nodes into `/etc/hosts`; else torch logs a warning for each connection, or waits for DNS",
    isAcceptable: true,
    seenAs: ["`The hostname of the client socket cannot be retrieved. err=-3`"],
    threads: ["gpustack/gpustack#3224"],
  },
  PROXY_SET: {
    column: "network",
    meaning:
      "the image or the login sets a proxy that would catch requests between the nodes (warning)",
    fix: "unset it, or add the nodes' addresses to `no_proxy` in `env`",
    isAcceptable: true,
    seenAs: ["errors of clients although the engines are healthy"],
  },
  PORT_BUSY: {
    column: "ports",
    meaning:
      "somebody else listens on a planned port; process, pid and container are named. A warning when the listener is on another address only",
    fix: "have it stopped by its owner, or choose another port in the stack file. This product never stops a foreign process",
    isAcceptable: true,
    seenAs: ["`Failed to bind the IP port` … `have been bound already` (EJ0003, EI0019)"],
    threads: [
      "vllm-project/vllm-ascend#405",
      "vllm-project/vllm-ascend#1253",
      "vllm-project/vllm-ascend#16205",
    ],
  },
  PORT_EPHEMERAL: {
    column: "ports",
    meaning:
      "planned ports lie in the range from which the kernel serves outgoing connections: any client may hold one when the cluster starts (warning)",
    fix: "reserve them: `sysctl net.ipv4.ip_local_reserved_ports=…` and a file in `/etc/sysctl.d/`",
    isAcceptable: true,
    seenAs: ["`listen on ip[…] and specific port[60000] fail`, sometimes"],
    threads: ["vllm-project/vllm-ascend#4725", "vllm-project/vllm-ascend#11968"],
  },
  OWNER_FOREIGN: {
    column: "owner",
    meaning: "the name of the cluster belongs to another stack on this host",
    fix: "choose another `name`, or destroy that stack. With a backend that has organizations, name the stack in full: `--stack <organization>/<project>/<stack>`",
    isAcceptable: false,
  },
  NODE_MOVED: {
    column: "owner",
    meaning:
      "the host is already another node of this cluster, or the node's address leads to another machine than before",
    fix: "two nodes have got one machine, or an address was moved; a new machine is a new node name. A machine that only has a new address is recognised",
    isAcceptable: false,
  },
  CONTAINER_FOREIGN: {
    column: "owner",
    meaning: "a container of our name is there that this stack did not make",
    fix: "choose another `name`, or have its owner remove it",
    isAcceptable: false,
  },
  SAME_MACHINE: {
    column: "owner",
    meaning: "two nodes of the stack are one machine",
    fix: "give each node the address of a host of its own",
    isAcceptable: false,
    seenAs: ["`Every node should have a unique IP address. Got 2 nodes … 3 unique IP addresses`"],
    threads: ["vllm-project/vllm#43095"],
  },
  DOWNTIME_CONSENT: {
    column: "consent",
    meaning:
      "the head is serving another release than the planned one, so this change would stop it, and the stack has no consent to this plan",
    fix: "read what restarts (`vllm-cluster summary`), then `pulumi config set allowDowntimeFor <plan hash>`",
    isAcceptable: false,
  },
  MEMORY_LOW: {
    column: "host",
    meaning:
      "the host's memory does not hold the container's `/dev/shm` beside what runs (a failure when it never can)",
    fix: "lower `container.shmSizeGib`, or free memory",
    isAcceptable: true,
  },
  SHM_SMALL: {
    column: "host",
    meaning: "`/dev/shm` of the container is smaller than 1 GiB, which vLLM's processes need",
    fix: "raise `container.shmSizeGib`; Ray wants 16",
    isAcceptable: true,
    seenAs: [
      "core dump of EngineCore under load",
      "`System memory request exceeds memory available in /dev/shm`",
    ],
    threads: ["vllm-project/vllm-ascend#3519", "vllm-project/vllm#1710", "gpustack/gpustack#5014"],
  },
  DISK_LOW: {
    column: "host",
    meaning:
      "little room for logs, or for an image that must be pulled (warning; a failure below 1 GiB)",
    fix: "free the named directory; an unpacked image takes about 30 GiB",
    isAcceptable: true,
  },
  CLOCK_SKEW: {
    column: "host",
    meaning: "the clock is more than 5 s off the other nodes' (warning)",
    fix: "`timedatectl set-ntp true`; logs of the nodes cannot be compared otherwise",
    isAcceptable: true,
  },
  NPU_TOOL_HANGS: {
    column: "npus",
    meaning: "`npu-smi` or `hccn_tool` gives no answer within its time",
    fix: "the driver hangs: `dmesg`, then reset the NPU or reboot the host",
    isAcceptable: true,
    seenAs: ["30 min of silence, then `Getting socket times out`"],
    threads: ["vllm-project/vllm-ascend#2248"],
  },
  NPU_MISSING: {
    column: "npus",
    meaning: "npu-smi does not list a planned NPU",
    fix: "`npu-smi info`, `dmesg`; a chip that fell off the bus needs a reboot; or plan fewer with `visibleDevices`",
    isAcceptable: true,
    seenAs: ["`Set visible device failed, invalid device`"],
    threads: ["vllm-project/vllm-ascend#167"],
  },
  NPU_HEALTH: {
    column: "npus",
    meaning: "npu-smi calls the chip ill (`Warning` is a warning, every other word a failure)",
    fix: "`npu-smi info -t health -i <n> -c 0` gives the error code",
    isAcceptable: true,
  },
  NPU_SERIES: {
    column: "npus",
    meaning: "the chip is not of the planned series, or not the same on all nodes (then a warning)",
    fix: "set `series`, take the image of that series (plain tag for 910B, `-a3` for Ascend910)",
    isAcceptable: true,
    seenAs: ["`socversion Ascend910B1 of bin package does not match … Ascend310P3`"],
    threads: ["vllm-project/vllm-ascend#6676"],
  },
  HBM_SIZE: {
    column: "npus",
    meaning: "the NPU has less than 95 % of the planned memory",
    fix: "64 GB and 32 GB chips look alike: another server, or another layout",
    isAcceptable: true,
    seenAs: ["`NPU out of memory. Tried to allocate`"],
    threads: ["vllm-project/vllm-ascend#8809"],
  },
  NPU_ECC: {
    column: "npus",
    meaning: "double-bit errors of the memory (failure), or isolated pages (warning)",
    fix: "have the NPU replaced; leave it out with `visibleDevices`",
    isAcceptable: true,
  },
  NPU_BUSY: {
    column: "free",
    meaning:
      "a process that is not of this cluster uses a planned NPU; pid, name and container are named",
    fix: "have it stopped by its owner; what a crash left behind: `kill <pid>` by who started it",
    isAcceptable: true,
    seenAs: [
      "`Free memory on device (a/b GiB) on startup is less than desired`",
      "`dcmi module initialize failed. ret is -8005`",
    ],
    threads: [
      "vllm-project/vllm-ascend#412",
      "vllm-project/vllm-ascend#16022",
      "vllm-project/vllm#42017",
    ],
  },
  NPU_CLAIMED: {
    column: "free",
    meaning:
      "another container maps a planned NPU: a chip belongs to one container (a warning when it is stopped and not of this product)",
    fix: "stop or destroy that one, or take other NPUs with `visibleDevices`",
    isAcceptable: true,
    seenAs: ["`dcmi module initialize failed. ret is -8005`"],
    threads: ["vllm-project/vllm-ascend#2698"],
  },
  HBM_USED: {
    column: "free",
    meaning: "5000 MB or more of the memory are in use although no process is listed (warning)",
    fix: "leftovers of a crash go after some seconds; else reset the NPU",
    isAcceptable: true,
    seenAs: ["64 GB of 65 GB used on one NPU"],
    threads: ["vllm-project/vllm-ascend#412"],
  },
  DRIVER_DIFFERS: {
    column: "driver",
    meaning: "the driver has another version than on the other nodes",
    fix: "install one version on all nodes",
    isAcceptable: true,
    seenAs: ["a hang of two nodes, a `HcclCommInitRootInfo` that never ends"],
    threads: ["vllm-project/vllm#8447", "vllm-project/vllm-ascend#3190"],
  },
  DRIVER_FIRMWARE: {
    column: "driver",
    meaning:
      "driver and firmware do not accept each other (a warning when only one of them says so)",
    fix: "install the pair that belongs together; `version.info` of both names the ranges",
    isAcceptable: true,
    seenAs: ["errors of CANN that name no cause"],
    threads: ["vllm-project/vllm-ascend#5468", "vllm-project/vllm-ascend#8112"],
  },
  NPU_ADDRESS: {
    column: "npu-net",
    meaning:
      "the NIC of an NPU has no usable address, one that another NPU has, of another family, or in another subnet without a gateway",
    fix: "`hccn_tool -i <n> -ip -s address A netmask M`",
    isAcceptable: true,
    seenAs: [
      "`not on the same network segment or the TLS configurations are inconsistent` (EI0006)",
      "IP family mismatch (2 = IPv4, 10 = IPv6)",
    ],
    threads: ["vllm-project/vllm-ascend#5461", "vllm-project/vllm-ascend#1955"],
  },
  HCCN_CONF: {
    column: "npu-net",
    meaning:
      "`/etc/hccn.conf` and the NIC disagree, or the file lacks a planned NPU (then a warning)",
    fix: "HCCL's side libraries read the file: write what `hccn_tool -i <n> -ip -g` says, or set the NIC",
    isAcceptable: true,
    seenAs: [
      "`HcclCommPrepare fail, ret: 0x9`",
      "`status: 503900`, KV transfer 93 ms instead of 5",
    ],
    threads: ["vllm-project/vllm-ascend#16847"],
  },
  NPU_LINK: {
    column: "npu-net",
    meaning: "the RoCE port is not UP, or its state cannot be told",
    fix: "cable, module, switch port; `hccn_tool -i <n> -link -g`",
    isAcceptable: true,
    seenAs: ["`Transport init error` (EI0009)", "`Getting socket times out` (EI0006)"],
    threads: ["vllm-project/vllm-ascend#10591", "vllm-project/vllm-ascend#9447"],
  },
  NPU_LINK_HISTORY: {
    column: "npu-net",
    meaning:
      "the link went down within the last 24 h (a failure above 5 times, or when it is down now)",
    fix: "a loose cable or module; `hccn_tool -i <n> -link_stat -g`",
    isAcceptable: true,
    seenAs: ["`error cqe` status 12"],
  },
  NPU_NET_HEALTH: {
    column: "npu-net",
    meaning: "the driver's own probe of the detect address fails (`Init` is a warning)",
    fix: "`hccn_tool -i <n> -netdetect -g`: an address that answers, usually the gateway",
    isAcceptable: true,
  },
  NPU_GATEWAY: {
    column: "npu-net",
    meaning:
      "no gateway although peers are in another subnet (failure), or one that does not fit (warning)",
    fix: "`hccn_tool -i <n> -gateway -s gateway G`",
    isAcceptable: true,
    seenAs: ["`not on the same network segment`"],
    threads: ["vllm-project/vllm-ascend#1955"],
  },
  NPU_LLDP: {
    column: "npu-net",
    meaning:
      "the switch port cannot be told, or switches or frame sizes differ between NPUs of the cluster (warning)",
    fix: "switch without LLDP, or cabling over two leaf switches: see that RoCE is configured between them",
    isAcceptable: true,
    seenAs: ["transfer errors between groups until all hung on one leaf switch"],
    threads: ["vllm-project/vllm-ascend#10224"],
  },
  NPU_OPTICAL: {
    column: "npu-net",
    meaning:
      "the optical module is away or out of its limits (a warning when the link is UP without one)",
    fix: "clean or change the module; `hccn_tool -i <n> -optical -g`",
    isAcceptable: true,
  },
  NPU_SPEED: {
    column: "npu-net",
    meaning: "speed or FEC mode differ between NPUs, or are unusual; no FEC at all is a failure",
    fix: "make the switch ports equal",
    isAcceptable: true,
  },
  NPU_TLS: {
    column: "tls",
    meaning:
      "TLS is on for some NPUs of the cluster and off for others, its state cannot be told, or a certificate has ended",
    fix: "equal everywhere, usually off: `hccn_tool -i <n> -tls -s enable 0`",
    isAcceptable: true,
    seenAs: [
      '`Value Disable for config "tls" is invalid. Expected Value:"All ranks are consistent` (EI0016)',
      "`tls -g` prints `Command execute failed!`",
    ],
    threads: ["vllm-project/vllm-ascend#10224", "vllm-project/vllm-ascend#9447"],
  },
  NPU_PING: {
    column: "npu-ping",
    meaning:
      "an NPU gets no answer from the same NPU of another node, or the ping cannot be judged; a part of the answers is a warning",
    fix: "link, address, gateway and TLS of both ends, VLAN and routes of the switch",
    isAcceptable: true,
    seenAs: ["`LINK_ERROR_INFO … time out`", "`Getting socket times out` (EI0006)"],
    threads: ["vllm-project/vllm-ascend#5461", "vllm-project/vllm-ascend#16847"],
  },
  NPU_CROSS_PING: {
    column: "npu-ping",
    meaning:
      "an NPU gets no answer from another NPU number of another node (warning): `--full` tries all",
    fix: "rails without a route between them: all-to-all over all ranks will fail, all-reduce may work",
    isAcceptable: true,
  },
  PEER_PORT_BLOCKED: {
    column: "tcp",
    meaning: "a port of another node cannot be reached: no answer, or a firewall refuses",
    fix: "allow all TCP between the nodes' addresses; Ray, Gloo and vLLM also use ports that nobody plans",
    isAcceptable: true,
    seenAs: [
      "`connect server[IP : 60000] failed` (EI0015)",
      "`Did not receive response from front-end process within 5 minutes`",
    ],
    threads: ["vllm-project/vllm-ascend#9317", "vllm-project/vllm-ascend#7613"],
  },
  PEER_PATH_MTU: {
    column: "tcp",
    meaning: "a packet of the interface's MTU does not get to another node (warning)",
    fix: "a switch port or tunnel with a smaller MTU on the way",
    isAcceptable: true,
    seenAs: ["a collective that hangs with large tensors only"],
    threads: ["NVIDIA/nccl#1957"],
  },
  STORAGE_SLOW: {
    column: "storage",
    meaning:
      "by the speed at which 2 GiB of the weights were read on this host, loading takes longer than `timeouts.serveStartSec` allows (warning)",
    fix: "set the proposed time-out, or bring the weights to a faster file system; many nodes on one file server share its speed",
    isAcceptable: true,
    seenAs: [
      "a start that ends with `Timed out waiting for engine core processes to start` while weights load",
    ],
    threads: ["vllm-project/vllm-ascend#7078", "vllm-project/vllm-ascend#7098"],
  },
  SMOKE_START: {
    column: "smoke",
    meaning: "the container did not start the smoke run, or a node did not come to the head",
    fix: "see `docker logs` of the container; where there is none yet, the image must be on the node",
    isAcceptable: false,
  },
  SMOKE_THREADS: {
    column: "smoke",
    meaning: "the container cannot start 64 threads",
    fix: "upgrade docker (seccomp profiles before 20.10.10 refuse `clone3`), or raise the limit of processes",
    isAcceptable: true,
    seenAs: ["`can't start new thread` at import"],
    threads: ["moby/moby#42680"],
  },
  SMOKE_IMPORT: {
    column: "smoke",
    meaning:
      "vLLM or its device plugin cannot be imported, takes this machine for another one, or differs between the nodes",
    fix: "the image does not fit the driver or the series: compare with the compatibility table of vllm-ascend",
    isAcceptable: true,
    seenAs: ["`Distributed inference using vllm-ascend failed`"],
    threads: ["gpustack/gpustack#5277"],
  },
  SMOKE_HOSTS: {
    column: "smoke",
    meaning: "1 MiB does not get from one node to an ephemeral port of another",
    fix: "allow all TCP between the nodes' addresses; see that the addresses are those of `socketInterface`; look for a small MTU on the way",
    isAcceptable: true,
    seenAs: ["`Did not receive response from front-end process within 5 minutes`"],
    threads: ["vllm-project/vllm-ascend#9317", "vllm-project/vllm-ascend#7613"],
  },
  SMOKE_NPU: {
    column: "smoke",
    meaning: "a rank cannot open its NPU, or multiplies matrices wrongly or not at all",
    fix: "`npu-smi info`, `dmesg`; reset the NPU, or leave it out with `visibleDevices`",
    isAcceptable: true,
    seenAs: ["`Set visible device failed, invalid device`"],
    threads: ["vllm-project/vllm-ascend#167"],
  },
  SMOKE_NODE: {
    column: "smoke",
    meaning:
      "all-reduce or all-to-all over the NPUs of one node fails, hangs or gives wrong values",
    fix: "`npu-smi info -t topo`, health of the named NPU, the plog files below `~/ascend/log`",
    isAcceptable: true,
  },
  SMOKE_PAIR: {
    column: "smoke",
    meaning: "all-reduce or all-to-all between a rank of one node and one of another does not work",
    fix: "`vllm-cluster gate --full`; link, address, TLS and gateway of both NPUs; the interface of Gloo",
    isAcceptable: true,
    seenAs: ["a hang of two nodes, a `HcclCommInitRootInfo` that never ends"],
    threads: ["vllm-project/vllm#8447", "vllm-project/vllm#7699"],
  },
  SMOKE_ALL: {
    column: "smoke",
    meaning:
      "all-reduce or all-to-all over all planned ranks does not work, although every pair does",
    fix: "`vllm-cluster gate --full`: NPUs of other numbers must reach each other, too",
    isAcceptable: true,
  },
  FACT_UNKNOWN: {
    column: "any",
    meaning:
      "the host could not tell; the reason, and the output where there is one, are in the message",
    fix: "often a stale network mount (`no answer within 5 s`), or an old tool; run the check by hand",
    isAcceptable: true,
  },
} as const satisfies Record<string, FindingDoc>;

export interface FindingDoc {
  /** Column of the table in which it counts; `any` for what could not be judged. */
  readonly column: string;
  /** Markdown, as the fields below. */
  readonly meaning: string;
  readonly fix: string;
  /** Whether `preflight.accept` may name it: not where the next step would fail for certain, or touch what is not ours. */
  readonly isAcceptable: boolean;
  readonly seenAs?: readonly string[];
  readonly threads?: readonly string[];
}

/** Stable names of findings. */
export type FindingCode = keyof typeof FINDINGS;
export const FINDING_CODES = Object.keys(FINDINGS) as readonly FindingCode[];

/** Codes that a stack may accept. */
export const ACCEPTABLE_CODES = FINDING_CODES.filter((code) => FINDINGS[code].isAcceptable) as [
  FindingCode,
  ...FindingCode[],
];
