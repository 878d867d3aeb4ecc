#!/bin/bash
# usage: facts.sh <request
#
# Looks at this host and prints what it sees; changes nothing. A request is one probe a line, `probe<TAB>argument…`, and ends
# with the line `end`. An answer is one fact a line, fields separated by tabs, between `facts 1` and `end`: what a login
# script prints before, or a connection that broke in the middle, cannot be mistaken for an answer.
#
# Every probe is bounded, and a probe that fails is a fact with its reason, never the end of the script.
set -euo pipefail

main() {
  login_path=$PATH
  set_environment
  local request
  request=$(cat)
  case $request in
    end | *$'\n'end) ;;
    *)
      echo "facts.sh: the request was cut short" >&2
      exit 1
      ;;
  esac
  fact facts 1
  fact login "$(id -un)" "$(id -u)"
  docker_of_login
  as_root "$request"
  fact end
  # Sent through `bash -s`, nothing that may follow on standard input is run.
  exit 0
}

set_environment() {
  export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
}

as_root() {
  local request=$1
  if [ "$(id -u)" -eq 0 ]; then
    answer "$request"
    return
  fi
  local why status=0 limit=150
  exec 3>&1
  # The limit of a login does not reach what sudo has started.
  if [[ $request =~ (^|$'\n')limit$'\t'([0-9]+) ]]; then limit=${BASH_REMATCH[2]}; fi
  why=$(root_script "$request" | sudo -n timeout -k 5 "$limit" bash -s 2>&1 >&3) || status=$?
  exec 3>&-
  why=$(last_line "$why")
  if [ "$status" -ne 0 ]; then fact root no "${why:-exit code $status}"; fi
}

# The functions of this file travel to the root shell on standard input, like every script of this product.
root_script() {
  declare -f
  printf 'set -euo pipefail\nset_environment\nanswer %q\nexit 0\n' "$1"
}

answer() {
  local probe argument
  local storage='' storage_deadline=0
  fact root yes
  while IFS=$'\t' read -r -a argument; do
    probe=${argument[0]}
    case $probe in
      end)
        if [ -n "$storage" ]; then relay "$storage" "$storage_deadline"; fi
        return 0
        ;;
      limit) ;;
      tool) fact tool "${argument[1]}" "$(type -P "${argument[1]}" || true)" ;;
      docker) probe_docker ;;
      path) probe_path "${argument[1]}" ;;
      file) probe_file "${argument[1]}" ;;
      image) probe_image "${argument[1]}" "${argument[2]}" ;;
      addresses) probe_addresses ;;
      ports) probe_ports "${argument[@]:1}" ;;
      container) probe_container "${argument[1]}" ;;
      unit) probe_unit "${argument[1]}" ;;
      clock) fact clock "$(date +%s)" ;;
      system) probe_system ;;
      disk) probe_disk "${argument[1]}" ;;
      docker-details) probe_docker_details ;;
      containers) probe_containers ;;
      model) probe_model "${argument[1]}" ;;
      storage)
        # Beside the probes of NPUs: both mostly wait.
        exec {storage}< <(probe_storage "${argument[1]}" 2>/dev/null)
        storage_deadline=$((SECONDS + 30))
        ;;
      names) probe_names "${argument[@]:1}" ;;
      npus) probe_npus "${argument[@]:1}" ;;
      holders) probe_holders "${argument[@]:1}" ;;
      npu-pings) probe_npu_pings "${argument[@]:1}" ;;
      tcp) probe_tcp "${argument[@]:1}" ;;
      path-mtu) probe_path_mtu "${argument[@]:1}" ;;
      sums) probe_sums "${argument[@]:1}" ;;
      modes) probe_modes "${argument[@]:1}" ;;
      container-json) probe_container_json "${argument[1]}" ;;
      processes) probe_processes "${argument[@]:1}" ;;
      *) fact unknown-probe "$probe" ;;
    esac
  done < <(lines "$1")
}

# One fact: control characters inside a field become blanks, so that a field cannot end a line or begin a field.
fact() {
  local IFS=$'\t'
  local fields=("${@//[[:cntrl:]]/ }")
  printf '%s\n' "${fields[*]}"
}

# Runs a command with a limit in seconds; sets status and out (both streams: the reason of a failure is on either).
attempt() {
  local seconds=$1
  shift
  status=0
  out=$(timeout -k 2 "$seconds" "$@" 2>&1 </dev/null) || status=$?
  if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then out="no answer within $seconds s"; fi
}

last_line() {
  printf '%s' "${1##*$'\n'}"
}

# Instead of a here-string, which some versions of bash put into a file: a full disk must not stop the look at the host.
lines() {
  printf '%s\n' "$1"
}

# Pulumi's docker provider logs in as this user and finds `docker` by the search path that a login without a terminal
# has, which is neither root's nor that of an interactive shell.
docker_of_login() {
  local docker status out
  docker=$(PATH=$login_path type -P docker || true)
  if [ -z "$docker" ]; then
    fact docker-of-login missing "$login_path"
    return
  fi
  attempt 15 "$docker" version --format '{{.Server.Version}}'
  if [ "$status" -eq 0 ]; then
    fact docker-of-login ok "$(last_line "$out")"
  else
    fact docker-of-login failed "$out"
  fi
}

# A daemon that hangs is waited for once: later probes of docker give this reason at once.
probe_docker() {
  local status out
  attempt 15 docker version --format '{{.Server.Version}}'
  if [ "$status" -eq 0 ]; then
    fact docker ok "$(last_line "$out")"
  else
    docker_problem=$out
    fact docker failed "$out"
  fi
}

# Like attempt, for a question to docker.
ask_docker() {
  if [ -n "${docker_problem-}" ]; then
    status=1 out=$docker_problem
  else
    attempt 20 docker "$@"
  fi
}

# A stat on a network file system whose server is gone blocks, so it is bounded as well.
probe_path() {
  local path=$1 status out other
  attempt 5 stat -L -c %F -- "$path"
  if [ "$status" -eq 0 ]; then
    fact path "$path" found "$out"
    return
  fi
  case $out in
    *": No such file or directory" | *": Not a directory") fact path "$path" missing ;;
    *) fact path "$path" error "${out##*: }" ;;
  esac
  other=$(PATH=$PATH:/usr/local/Ascend/driver/tools type -P "${path##*/}" || true)
  if [ -n "$other" ] && [ "$other" != "$path" ]; then fact elsewhere "$path" "$other"; fi
}

probe_file() {
  local path=$1 status out
  attempt 5 base64 -w 0 -- "$path"
  if [ "$status" -eq 0 ]; then
    fact file "$path" found "$out"
    return
  fi
  case $out in
    *": No such file or directory" | *": Not a directory") fact file "$path" missing ;;
    *) fact file "$path" error "${out##*: }" ;;
  esac
}

# usage: probe_image PULL registry|present
probe_image() {
  local image=$1 source=$2 status out
  ask_docker image inspect --format \
    '{{.Id}}{{"\t"}}{{.Architecture}}{{"\t"}}{{range .Config.Env}}{{index (split . "=") 0}},{{end}}' "$image"
  if [ "$status" -eq 0 ]; then
    local details
    mapfile -d $'\t' -t details < <(last_line "$out")
    fact image "$image" present "${details[@]}"
    return
  fi
  case $out in
    *"No such image"* | *"No such object"*) ;;
    *)
      fact image "$image" error "$out"
      return
      ;;
  esac
  if [ "$source" != registry ]; then
    fact image "$image" absent
    return
  fi
  attempt 25 docker manifest inspect "$image"
  if [ "$status" -eq 0 ]; then
    fact image "$image" pullable
    return
  fi
  case $out in
    *"no such manifest"* | *"manifest unknown"*) fact image "$image" unknown-to-registry "$(last_line "$out")" ;;
    *) fact image "$image" registry-error "$(last_line "$out")" ;;
  esac
}

# `ip -o` prints `2: eth0    inet 10.0.0.1/24 brd 10.0.0.255 scope global eth0\       valid_lft …`; the word before the
# backslash is the label, which differs from the device for addresses such as `eth0:1`.
probe_addresses() {
  local status out name flags cidr rest label mtu
  attempt 10 ip -o link show
  if [ "$status" -ne 0 ]; then
    fact addresses failed "$out"
    return
  fi
  while read -r _ name flags rest; do
    name=${name%:} mtu=''
    if [[ $rest =~ ^mtu\ ([0-9]+) ]]; then mtu=${BASH_REMATCH[1]}; fi
    case ,${flags//[<>]/}, in
      *,UP,*LOWER_UP,* | *,LOWER_UP,*UP,*) fact link "${name%%@*}" up "$mtu" ;;
      *) fact link "${name%%@*}" down "$mtu" ;;
    esac
  done < <(lines "$out")
  attempt 10 ip -o -4 address show
  if [ "$status" -ne 0 ]; then
    fact addresses failed "$out"
    return
  fi
  while read -r _ name _ cidr rest; do
    rest=${rest%%\\*}
    label=$(last_word "$rest")
    fact address "$name" "${label:-$name}" "${cidr%/*}"
  done < <(lines "$out")
  fact addresses ok
}

last_word() {
  local words
  read -r -a words < <(lines "$1") || true
  printf '%s' "${words[-1]-}"
}

# usage: probe_ports FIRST-LAST…
# Lines of ss: `LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))`; without users for a socket of the kernel.
probe_ports() {
  local status out _ local_address users port pid name
  attempt 10 ss -Hltnp
  if [ "$status" -ne 0 ]; then
    fact ports failed "$out"
    return
  fi
  while read -r _ _ _ local_address _ users; do
    port=${local_address##*:}
    is_in_ranges "$port" "$@" || continue
    pid='' name=''
    if [[ $users =~ ^users:\(\(\"([^\"]*)\",pid=([0-9]+), ]]; then
      name=${BASH_REMATCH[1]} pid=${BASH_REMATCH[2]}
    fi
    fact listener "$port" "${local_address%:*}" "$pid" "$name" "$(container_of "$pid")"
  done < <(lines "$out")
  fact ports ok
}

is_in_ranges() {
  local port=$1 range
  shift
  for range in "$@"; do
    if [ "$port" -ge "${range%-*}" ] && [ "$port" -le "${range#*-}" ]; then return 0; fi
  done
  return 1
}

# The id of the container whose process this is: the last path part of 64 hexadecimal digits among its cgroups, as in
# `/docker/<id>` and `/system.slice/docker-<id>.scope`.
container_of() {
  local pid=$1 groups
  groups=$(cat "/proc/$pid/cgroup" 2>/dev/null || true)
  if [[ $groups =~ .*[^0-9a-f]([0-9a-f]{64})([^0-9a-f]|$) ]]; then printf '%s' "${BASH_REMATCH[1]}"; fi
}

probe_container() {
  local name=$1 status out
  ask_docker container inspect --format \
    '{{.Id}}{{"\t"}}{{.State.Status}}{{"\t"}}{{.State.ExitCode}}{{"\t"}}{{with index .Config.Labels "vllm-cluster.owner"}}{{.}}{{end}}{{"\t"}}{{with index .Config.Labels "vllm-cluster.node"}}{{.}}{{end}}{{"\t"}}{{.State.Error}}' "$name"
  if [ "$status" -eq 0 ]; then
    local field
    mapfile -d $'\t' -t field < <(last_line "$out")
    fact container "$name" present "${field[@]}"
    return
  fi
  case $out in
    *"No such container"* | *"No such object"*) fact container "$name" absent ;;
    *) fact container "$name" error "$out" ;;
  esac
}

# Lines `ActiveState=…` and `UnitFileState=…`, the second empty for a unit that is not there.
probe_unit() {
  local unit=$1 status out key value active='' enabled=''
  attempt 10 systemctl show --property=ActiveState --property=UnitFileState "$unit"
  while IFS='=' read -r key value; do
    case $key in
      ActiveState) active=$value ;;
      UnitFileState) enabled=$value ;;
    esac
  done < <(lines "$out")
  fact unit "$unit" "$active" "$enabled"
}

# What the host as such is. A host that does not tell something leaves it empty.
probe_system() {
  local key value total='' available='' range='' reserved='' boot='' variable status out
  fact machine "$(uname -m)"
  read -r boot </proc/sys/kernel/random/boot_id || true
  fact boot-id "$boot"
  while read -r key value _; do
    case $key in
      MemTotal:) total=$value ;;
      MemAvailable:) available=$value ;;
    esac
  done </proc/meminfo
  fact memory "$total" "$available"
  read -r range </proc/sys/net/ipv4/ip_local_port_range || true
  read -r reserved </proc/sys/net/ipv4/ip_local_reserved_ports || true
  fact ephemeral-ports "${range//[[:space:]]/-}" "$reserved"
  attempt 5 getent ahostsv4 "$HOSTNAME"
  fact hostname "$HOSTNAME" "${out%%[[:space:]]*}"
  for variable in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY; do
    if [ -n "${!variable-}" ]; then fact proxy "$variable" "${no_proxy-${NO_PROXY-}}"; fi
  done
}

# Free bytes of the file system that holds a directory, or will hold it.
probe_disk() {
  local path=$1 there=$1 status out blocks size
  while [ "$there" != / ] && ! [ -e "$there" ]; do there=$(dirname -- "$there"); done
  attempt 5 stat -f -c '%a %S' -- "$there"
  if [ "$status" -eq 0 ]; then
    read -r blocks size < <(lines "$out")
    fact disk "$path" found "$((blocks * size))"
  else
    fact disk "$path" error "$out"
  fi
}

probe_docker_details() {
  local status out root
  # shellcheck disable=SC2016 # a template of docker
  ask_docker info --format '{{.DefaultRuntime}}{{"\t"}}{{range $name, $_ := .Runtimes}}{{$name}},{{end}}{{"\t"}}{{.DockerRootDir}}'
  if [ "$status" -ne 0 ]; then return; fi
  local field
  mapfile -d $'\t' -t field < <(last_line "$out")
  fact docker-details "${field[@]}"
  root=${field[2]-}
  if [ -n "$root" ]; then probe_disk "$root"; fi
}

# All containers with the devices that they map; of the environment only the variable by which ascend-docker-runtime maps NPUs.
probe_containers() {
  local status out ids line
  ask_docker ps --all --quiet --no-trunc
  if [ "$status" -ne 0 ]; then
    fact containers failed "$out"
    return
  fi
  mapfile -t ids < <(lines "$out")
  if [ -n "${ids[0]}" ]; then
    # One that is removed meanwhile is an error of the whole command; the others are printed all the same.
    # shellcheck disable=SC2016 # a template of docker
    ask_docker inspect --type container --format \
      '{{.Id}}{{"\t"}}{{.Name}}{{"\t"}}{{.State.Status}}{{"\t"}}{{.HostConfig.Privileged}}{{"\t"}}{{range .HostConfig.Devices}}{{.PathOnHost}},{{end}}{{"\t"}}{{with index .Config.Labels "vllm-cluster.owner"}}{{.}}{{end}}{{"\t"}}{{range .Config.Env}}{{$part := split . "="}}{{if eq (index $part 0) "ASCEND_VISIBLE_DEVICES"}}{{index $part 1}}{{end}}{{end}}' \
      "${ids[@]}"
    while IFS= read -r line; do
      case $line in
        *$'\t'*)
          local field
          mapfile -d $'\t' -t field < <(printf '%s' "$line")
          fact container-devices "${field[@]}"
          ;;
      esac
    done < <(lines "$out")
  fi
  fact containers ok
}

# Names and sizes of the files of the weights, the hashes of the small ones that decide (`config.json` and the index), and the formats
# that the description of a quantized checkpoint names: it has a line for each tensor and may be some 10 MB.
# In a process of its own, because a glob on a network file system whose server is gone blocks.
probe_model() {
  local path=$1 status out
  # shellcheck disable=SC2016 # expanded by the inner bash
  attempt 30 bash -c '
    cd -- "$1" || exit 1
    stat -L --printf "%F\t%s\t%n\n" -- *
    for file in config.json *.index.json; do
      if [ -f "$file" ]; then sha256sum -- "$file"; fi
    done
    if [ -f quant_model_description.json ]; then
      printf "formats\t%s\n" "$({ grep -oE "\"W[0-9]+A[0-9]+[A-Z0-9_]*\"" quant_model_description.json || true; } | sort -u | tr -d "\"" | tr "\n" ",")"
    fi' model "$path"
  if [ "$status" -eq 0 ]; then
    fact model "$path" found "$(printf '%s' "$out" | base64 -w 0)"
  else
    fact model "$path" error "$(last_line "$out")"
  fi
}

# usage: probe_storage MODEL_DIR
# Fact: `storage DIR read BYTES SECONDS direct|uncached`, or `storage DIR small|error WORDS`. Reads 2 GiB of the largest file of the weights,
# for at most 15 s: past the page cache, or where the file system has no direct I/O, with the cache of this file dropped first
# (what a running vLLM has mapped stays). A disk cache of the storage itself cannot be told from the storage.
probe_storage() {
  local dir=$1 file size status=0 out how=direct
  # shellcheck disable=SC2016 # expanded by the inner bash
  attempt 10 bash -c 'cd -- "$1" && stat -L --printf "%s\t%n\n" -- *.safetensors | sort -rn | head -n 1' storage "$dir"
  IFS=$'\t' read -r size file < <(lines "$out")
  if [ "$status" -ne 0 ] || [ -z "${file-}" ]; then
    fact storage "$dir" small "no file of weights: $(last_line "$out")"
    return
  fi
  if [ "$size" -lt 67108864 ]; then
    fact storage "$dir" small "its largest file has $size bytes: too few to measure"
    return
  fi
  read_some "$dir/$file" direct
  if [ "$status" -ne 0 ] && [[ $out != *" copied, "* ]]; then
    how=uncached
    timeout -k 2 5 dd if="$dir/$file" iflag=nocache count=0 status=none 2>/dev/null </dev/null || true
    read_some "$dir/$file" nocache
  fi
  if [[ $out =~ ([0-9]+)" bytes".*" copied, "([0-9.e+-]+)" s" ]]; then
    fact storage "$dir" read "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "$how"
  else
    fact storage "$dir" error "$(last_line "$out")"
  fi
}

# Sets status and out. SIGINT, because dd then says how far it came.
read_some() {
  status=0
  out=$(timeout -s INT -k 3 15 dd if="$1" of=/dev/null bs=16M count=128 iflag="$2" 2>&1 </dev/null) || status=$?
}

# Whether addresses have names: a process that asks for one without gets no answer, or waits for one.
probe_names() {
  local address status out name
  for address in "$@"; do
    attempt 5 getent hosts "$address"
    # A name server that does not answer is waited for once.
    if [ "$status" -gt 2 ]; then return; fi
    name=''
    if [ "$status" -eq 0 ]; then read -r _ name _ < <(lines "$out"); fi
    fact name "$address" "$name"
  done
}

main "$@"
