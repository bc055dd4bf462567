"""The peer of decode.mjs: decodes with transformers. Arguments, prompts, settings and output as in decode.mjs. Needs torch and transformers."""

import argparse
import json
import time

import torch
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("model")
for name in ["batch", "prompt", "new"]:
    parser.add_argument(f"--{name}", type=int, required=True)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--dtype", default="float32")
args = parser.parse_args()

model = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype)).eval()
settings = dict(do_sample=True, temperature=0.8, top_k=50, top_p=1.0, eos_token_id=None, pad_token_id=0)


def seconds(ids, new):
    started = time.perf_counter()
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=None, **settings)
    assert made.shape[1] == ids.shape[1] + new
    return time.perf_counter() - started


best = {"first": float("inf"), "all": float("inf")}
# The first round warms up
for number in range(args.rounds + 1):
    ids = torch.randint(0, model.config.vocab_size, (args.batch, args.prompt))
    found = {"first": seconds(ids, 1), "all": seconds(ids, args.new)}
    if number:
        best = {name: min(best[name], found[name]) for name in best}
print(json.dumps({"rate": args.batch * args.new / best["all"], "first": best["first"]}))
