#!/usr/bin/env bash
# KTO on single stories with a thumb up or down. There are two bad ones for each good one, so good ones have weight 2.
#   examples/kto.sh [flags of attune kto]        MODEL and RUN as in sft.sh
set -euo pipefail
cd "$(dirname "$0")/.."
run=${RUN:-attune-runs/example-kto}

node bin/attune.js kto --model "${MODEL:-test/fixtures/models/stories260K}" --data examples/thumbs.jsonl \
  --desirable-weight 2 --epochs 4 --learning-rate 1e-3 --lora-r 8 --output "$run" "$@"

node bin/attune.js merge --model "$run" --output "$run/merged"
