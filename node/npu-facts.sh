#!/bin/bash
# Probes of facts.sh that ask the NPU driver. Functions only: sent in front of facts.sh, which runs them.
#
# A tool may hang in the driver, where not even SIGKILL ends it. So each NPU is asked by a process of its own, whose lines are
# read against a deadline: a tool that hangs is a fact, and costs its NPU only.

# usage: probe_npus HCCN_TOOL NPU_SMI NPU…
# Facts: `npu N TOOL QUERY EXIT OUTPUT`, the output in base64, with N = `all` for `npu-smi info`; `npu-end N` when it was all.
probe_npus() {
  local hccn_tool=$1 npu_smi=$2 npu
  shift 2
  local -A job=()
  for npu in all "$@"; do
    # Standard error of a job that is left behind must not be that of the login: sshd would wait for it.
    exec {fd}< <(npu_facts "$hccn_tool" "$npu_smi" "$npu" 2>/dev/null)
    job[$npu]=$fd
  done
  local deadline=$((SECONDS + 60))
  for npu in all "$@"; do relay "${job[$npu]}" "$deadline"; done
}

# Serial per NPU: the driver answers one query of an NPU at a time.
npu_facts() {
  local hccn_tool=$1 npu_smi=$2 npu=$3 query status out=''
  local -A hung=()
  if [ "$npu" = all ]; then
    ask_npu 20 "$npu_smi" all npu-smi info info
    npu_processes "$out"
  else
    for query in link net_health netdetect gateway ip tls lldp optical link_stat speed fec; do
      ask_npu 10 "$hccn_tool" "$npu" hccn_tool "$query" -i "$npu" "-$query" -g
    done
    ask_npu 10 "$npu_smi" "$npu" npu-smi board info -t board -i "$npu"
    ask_npu 10 "$npu_smi" "$npu" npu-smi ecc info -t ecc -i "$npu"
  fi
  fact npu-end "$npu"
}

# usage: ask_npu SECONDS PATH NPU TOOL QUERY ARGUMENT…
# Sets status and out (in base64). A tool that hangs is waited for once per NPU.
ask_npu() {
  local seconds=$1 path=$2 npu=$3 tool=$4 query=$5
  shift 5
  status=0 out=''
  if [ -n "${hung[$tool]-}" ]; then
    fact npu "$npu" "$tool" "$query" hangs
    return
  fi
  if ! [ -x "$path" ]; then
    fact npu "$npu" "$tool" "$query" missing
    return
  fi
  out=$(timeout -k 2 "$seconds" "$path" "$@" 2>&1 </dev/null | base64 -w 0; exit "${PIPESTATUS[0]}") || status=$?
  if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
    hung[$tool]=yes
    fact npu "$npu" "$tool" "$query" hangs
  else
    fact npu "$npu" "$tool" "$query" "$status" "$out"
  fi
}

# Whose processes npu-smi lists: `npu-process PID NAME CONTAINER`, without a name when the host has no such process.
npu_processes() {
  local line pid table
  table=$(printf '%s' "$1" | base64 -d 2>/dev/null || true)
  while IFS= read -r line; do
    if [[ $line =~ ^\|\ +[0-9]+\ +[0-9]+\ +\|\ +([0-9]+)\ +\| ]]; then
      pid=${BASH_REMATCH[1]}
      fact npu-process "$pid" "$(process_name "$pid")" "$(container_of "$pid")"
    fi
  done < <(lines "$table")
}

# usage: relay DESCRIPTOR DEADLINE
# Prints the lines of a job until its end or the deadline (in SECONDS of this shell), whichever is first.
relay() {
  local fd=$1 deadline=$2 line left
  while true; do
    left=$((deadline - SECONDS))
    IFS= read -r -t "$((left > 0 ? left : 1))" -u "$fd" line || break
    printf '%s\n' "$line"
    [ "$left" -gt 0 ] || break
  done
  exec {fd}<&-
}

# usage: probe_holders NPU…
# Who has /dev/davinciN open, in whichever container: `holder N PID NAME CONTAINER`. `ls` reads links and follows none.
probe_holders() {
  local status out line pid='' npu
  attempt 20 bash -c "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -e '^/proc/' -e ' -> /dev/davinci[0-9]' || true"
  if [ "$status" -ne 0 ]; then
    fact holders failed "$out"
    return
  fi
  local -A seen=()
  while IFS= read -r line; do
    if [[ $line =~ ^/proc/([0-9]+)/fd:$ ]]; then
      pid=${BASH_REMATCH[1]}
    elif [[ $line =~ \ -\>\ /dev/davinci([0-9]+)$ ]]; then
      npu=${BASH_REMATCH[1]}
      case " $* " in *" $npu "*) ;; *) continue ;; esac
      if [ -n "${seen[$npu/$pid]-}" ]; then continue; fi
      seen[$npu/$pid]=yes
      fact holder "$npu" "$pid" "$(process_name "$pid")" "$(container_of "$pid")"
    fi
  done < <(lines "$out")
  fact holders ok
}

process_name() {
  cat "/proc/$1/comm" 2>/dev/null || true
}
