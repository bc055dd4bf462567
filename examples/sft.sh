#!/usr/bin/env bash
# SFT on a few stories, then a completion from the fine-tuned model.
#   examples/sft.sh [flags of attune sft]        MODEL=owner/name takes another model, RUN another folder
set -euo pipefail
cd "$(dirname "$0")/.."
run=${RUN:-attune-runs/example-sft}

node bin/attune.js sft --model "${MODEL:-test/fixtures/models/stories260K}" --data examples/stories.jsonl \
  --epochs 20 --batch-size 6 --learning-rate 5e-4 --warmup-steps 2 --schedule cosine --output "$run" "$@"

node bin/attune.js generate --model "$run" --prompt 'The shy fox' --temperature 0 --max-new-tokens 60
