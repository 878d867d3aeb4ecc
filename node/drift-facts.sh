# shellcheck shell=bash
# Functions of facts.sh (attempt, ask_docker, fact, lines, last_line) are there when these run: how far this host is from
# the plan. Nothing here prints a secret: of files only hashes and modes, of processes only variables that were asked for.

# usage: probe_sums FILE…   one fact per file that can be read
probe_sums() {
  local status out sum path
  attempt 30 sha256sum -- "$@"
  while read -r sum path; do
    if [[ $sum =~ ^[0-9a-f]{64}$ ]]; then fact sum "$path" "$sum"; fi
  done < <(lines "$out")
  fact sums done
}

# usage: probe_modes FILE…   mode and owner of each that is there
probe_modes() {
  local status out mode owner path
  attempt 10 stat -L -c '%a %u %n' -- "$@"
  while read -r mode owner path; do
    if [[ $mode =~ ^[0-7]+$ ]]; then fact mode "$path" "$mode" "$owner"; fi
  done < <(lines "$out")
}

# usage: probe_container_json NAME
probe_container_json() {
  local name=$1 status out
  # shellcheck disable=SC2016 # a template of docker
  ask_docker container inspect --format '{{json .}}' "$name"
  if [ "$status" -eq 0 ]; then
    fact container-json "$name" found "$(last_line "$out" | base64 -w 0)"
  else
    fact container-json "$name" error "$(last_line "$out")"
  fi
}

# usage: probe_processes CONTAINER VARIABLE…   command lines of Ray and vLLM, and these variables
probe_processes() {
  local name=$1 status out
  shift
  ask_docker exec "$name" python3 /vllm-cluster/in/supervisor processes "$@"
  if [ "$status" -eq 0 ]; then
    fact processes found "$(last_line "$out" | base64 -w 0)"
  else
    fact processes error "$(last_line "$out")"
  fi
}
