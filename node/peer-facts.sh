#!/bin/bash
# Probes of facts.sh that ask from this host for others. Functions only: sent in front of facts.sh, which runs them.

# usage: probe_npu_pings HCCN_TOOL VERB SECONDS NPU=ADDRESS,ADDRESS…
# Facts: `npu-ping N ADDRESS EXIT OUTPUT`, the output in base64. NPUs in parallel, each one ping at a time.
probe_npu_pings() {
  local hccn_tool=$1 verb=$2 seconds=$3 pair
  shift 3
  local -A job=()
  for pair in "$@"; do
    exec {fd}< <(ping_from_npu "$hccn_tool" "$verb" "${pair%%=*}" "${pair#*=}" 2>/dev/null)
    job[$pair]=$fd
  done
  local deadline=$((SECONDS + seconds))
  for pair in "$@"; do relay "${job[$pair]}" "$deadline"; done
}

ping_from_npu() {
  local hccn_tool=$1 verb=$2 npu=$3 addresses address status out
  IFS=, read -r -a addresses < <(lines "$4")
  for address in "${addresses[@]}"; do
    status=0
    out=$(timeout -k 2 15 "$hccn_tool" -i "$npu" "-$verb" -g address "$address" 2>&1 </dev/null | base64 -w 0; exit "${PIPESTATUS[0]}") || status=$?
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
      fact npu-ping "$npu" "$address" hangs
      # What hangs once hangs again; the others of this NPU are not asked.
      return
    fi
    fact npu-ping "$npu" "$address" "$status" "$out"
  done
}

# usage: probe_tcp ADDRESS=PORT,PORT…
# Facts: `tcp ADDRESS PORT open|refused|silent|error WORDS`. A refusal comes from the host itself: the packets get through, and nobody
# listens yet. Hosts in parallel.
probe_tcp() {
  local pair
  local -A job=()
  for pair in "$@"; do
    exec {fd}< <(connect_to "${pair%%=*}" "${pair#*=}" 2>/dev/null)
    job[$pair]=$fd
  done
  local deadline=$((SECONDS + 90))
  for pair in "$@"; do relay "${job[$pair]}" "$deadline"; done
}

connect_to() {
  local address=$1 ports port status out silent=0
  IFS=, read -r -a ports < <(lines "$2")
  for port in "${ports[@]}"; do
    # A host that is silent on three ports is silent.
    if [ "$silent" -ge 3 ]; then
      fact tcp "$address" "$port" skipped
      continue
    fi
    # shellcheck disable=SC2016 # expanded by the inner bash
    attempt 3 bash -c 'exec 3<>"/dev/tcp/$1/$2"' tcp "$address" "$port"
    case "$status $out" in
      "0 "*) fact tcp "$address" "$port" open ;;
      *"onnection refused"*) fact tcp "$address" "$port" refused ;;
      "124 "* | "137 "* | *"timed out"*)
        silent=$((silent + 1))
        fact tcp "$address" "$port" silent
        ;;
      *) fact tcp "$address" "$port" error "${out##*: }" ;;
    esac
  done
}

# usage: probe_path_mtu ADDRESS=MTU…
# Whether a packet of the interface's size gets there unbroken; 28 bytes are the headers of IPv4 and ICMP.
probe_path_mtu() {
  local pair address mtu status out
  for pair in "$@"; do
    address=${pair%%=*} mtu=${pair#*=}
    if ! type -P ping >/dev/null; then
      fact path-mtu "$address" no-tool
      continue
    fi
    attempt 5 ping -n -c 2 -i 0.2 -W 1 -M "do" -s "$((mtu - 28))" "$address"
    case "$status $out" in
      "0 "*) fact path-mtu "$address" ok "$mtu" ;;
      *"too long"* | *"rag needed"*) fact path-mtu "$address" broken "$mtu" ;;
      *) fact path-mtu "$address" silent "$mtu" ;;
    esac
  done
}
