#!/usr/bin/env bash
# DPO on rankings of four stories per prompt, with ties and unranked stories (Plackett-Luce).
#   examples/rankings.sh [flags of attune dpo]   MODEL and RUN as in sft.sh
set -euo pipefail
cd "$(dirname "$0")/.."
run=${RUN:-attune-runs/example-rankings}

node bin/attune.js dpo --model "${MODEL:-test/fixtures/models/stories260K}" --data examples/rankings.jsonl \
  --ties marginal --epochs 4 --batch-size 4 --learning-rate 1e-3 --lora-r 8 --output "$run" "$@"

node bin/attune.js runs show "$run"
