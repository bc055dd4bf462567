#!/usr/bin/env bash
# DPO on pairs of stories. The chosen ones are about friends, play or joy, and the model learns to tell such stories.
#   examples/dpo.sh [flags of attune dpo]        --loss simpo, --loss sigmoid:0.8,sft:0.2, ... MODEL and RUN as in sft.sh
set -euo pipefail
cd "$(dirname "$0")/.."
run=${RUN:-attune-runs/example-dpo}

node bin/attune.js dpo --model "${MODEL:-test/fixtures/models/stories260K}" --data examples/friends.jsonl \
  --learning-rate 1e-3 --lora-r 8 --output "$run" "$@"

node bin/attune.js generate --model "$run" --prompt 'The old man' --temperature 0 --max-new-tokens 48
