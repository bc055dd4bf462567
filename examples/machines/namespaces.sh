#!/usr/bin/env bash
# Four hosts on this machine, each with an address of its own (Linux network namespaces; root): Redis on one, a run of GRPO on one,
# a worker on each of two. The files of the run go to the workers over HTTP. Then the same run in one process, and both SHA-256.
#   sudo examples/machines/namespaces.sh [flags of attune grpo]        MODEL=owner/name takes another model
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ $(uname) != Linux || $(id -u) -ne 0 ]]; then
  echo "needs root on Linux: it makes network namespaces. Three machines do the same without: docs/machines.md" >&2
  exit 2
fi
for tool in ip redis-server; do
  command -v $tool >/dev/null || { echo "$tool is not there: apt-get install iproute2 redis-server" >&2; exit 2; }
done

model=${MODEL:-test/fixtures/models/stories260K}
dir=$(mktemp -d)
hosts=(redis run worker-1 worker-2)
space() { echo "attune-$$-$1"; }
address() { for i in "${!hosts[@]}"; do if [[ ${hosts[i]} == "$1" ]]; then echo "10.78.0.$((i + 1))"; fi; done; }
# In the background or in a pipe: what it starts takes its place
on() { local host=$1; shift; exec ip netns exec "$(space "$host")" "$@"; }

started=()
cleanup() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  for host in "${hosts[@]}" switch; do ip netns del "$(space "$host")" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap cleanup EXIT

echo "hosts"
ip netns add "$(space switch)"
ip -n "$(space switch)" link add switch type bridge
ip -n "$(space switch)" link set switch up
for host in "${hosts[@]}"; do
  ip netns add "$(space "$host")"
  ip link add "port-$host" netns "$(space switch)" type veth peer name eth0 netns "$(space "$host")"
  ip -n "$(space switch)" link set "port-$host" master switch up
  ip -n "$(space "$host")" address add "$(address "$host")/24" dev eth0
  ip -n "$(space "$host")" link set lo up
  ip -n "$(space "$host")" link set eth0 up
  echo "  $host $(address "$host")"
done

redis=redis://$(address redis):6379
on redis redis-server --bind "$(address redis)" --protected-mode no --save '' --dir "$dir" >"$dir/redis.log" &
started+=($!)
until grep -qs 'Ready to accept' "$dir/redis.log"; do sleep 0.1; done
for host in worker-1 worker-2; do
  ATTUNE_CACHE=$dir/cache-$host on "$host" node bin/attune.js worker "$redis" --name "$host" --threads 1 --json >"$dir/$host.log" 2>&1 &
  started+=($!)
done
for host in worker-1 worker-2; do until grep -qs '"ready"' "$dir/$host.log"; do sleep 0.1; done; done

grpo=(node bin/attune.js grpo --model "$model" --data examples/openings.jsonl --reward 'friend=regex:friend'
  --num-generations 8 --batch-size 4 --grad-accum 2 --max-new-tokens 32 --kl-coef 0.05 --lora-r 8 --learning-rate 1e-3
  --epochs 100 --max-steps 8 --threads 1 "$@")

echo "run with two workers"
# While it runs: who is there
(until grep -q '"shard"' "$dir"/worker-?.log; do sleep 0.1; done; on run node bin/attune.js workers "$redis" --json >"$dir/list.log") &
ATTUNE_CACHE=$dir/cache-run on run "${grpo[@]}" --output "$dir/shared" --workers "$redis" 2>&1 | grep -E '^  (workers|training|done) ' || true
wait $!
echo "in the middle of it: attune workers $redis"
sed 's/^/  /' "$dir/list.log"
for host in worker-1 worker-2; do
  for kind in samples gradient; do
    echo "  $host: $(grep -c "\"event\":\"shard\",\"kind\":\"$kind\"" "$dir/$host.log" || true) shards of $kind"
  done
done

echo "run in one process"
ATTUNE_CACHE=$dir/cache-alone "${grpo[@]}" --output "$dir/alone" 2>&1 | grep -E '^  (training|done) ' || true

sum() { sha256sum "$dir/$1/adapter/adapter_model.safetensors" | cut -d' ' -f1; }
echo "SHA-256 of the adapter"
echo "  two workers  $(sum shared)"
echo "  one process  $(sum alone)"
[[ $(sum shared) == "$(sum alone)" ]] && echo "the same"
