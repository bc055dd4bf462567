"""The peer of rank.mjs: PairRM as LLM-Blender runs it, on transformers' DeBERTa: rows in their order, so many at a time, padded to the longest. Needs torch and transformers."""

import argparse
import json
import time

import torch
from safetensors.torch import load_file
from transformers import DebertaV2Config, DebertaV2Model

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("rows")
parser.add_argument("--threads", type=int)
parser.add_argument("--batch", type=int, default=8)
args = parser.parse_args()
if args.threads:
    torch.set_num_threads(args.threads)

prefix = "pretrained_model."
weights = load_file(f"{args.model}/model.safetensors")
config = DebertaV2Config.from_pretrained(args.model)
encoder = DebertaV2Model(config).eval()
encoder.load_state_dict({name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)})
head = torch.nn.Sequential(
    torch.nn.Dropout(0), torch.nn.Linear(2 * config.hidden_size, config.hidden_size), torch.nn.Tanh(), torch.nn.Dropout(0), torch.nn.Linear(config.hidden_size, 1)
)
head.load_state_dict({name[len("head_layer.") :]: value for name, value in weights.items() if name.startswith("head_layer.")})
rows = [json.loads(line)["input_ids"] for line in open(args.rows)]


@torch.no_grad()
def scores(rows):
    made = []
    for start in range(0, len(rows), args.batch):
        batch = rows[start : start + args.batch]
        length = max(map(len, batch))
        ids = torch.tensor([row + [0] * (length - len(row)) for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in batch])
        states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        source, first, second = [states[torch.where(ids == marker)] for marker in (config.source_prefix_id, config.cand1_prefix_id, config.cand2_prefix_id)]
        made += zip(*[head(torch.cat([source, each], -1)).squeeze(-1).tolist() for each in (first, second)])
    return made


scores(rows[:2])
before, started = time.process_time(), time.perf_counter()
made = scores(rows)
print(json.dumps({"seconds": time.perf_counter() - started, "cpu": time.process_time() - before, "tokens": sum(map(len, rows)), "first": made[0]}))
