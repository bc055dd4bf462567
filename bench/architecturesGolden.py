"""Goldens for architectures: tiny random checkpoints in Hugging Face layout, and what transformers and PEFT compute from them.

    python bench/architecturesGolden.py --out test/fixtures/models [--only olmo2,lfm2]

Needs torch, transformers 5 and peft. Each case: config.json, config.v4.json (the spelling of transformers 4, where it differs),
model.safetensors, and golden.safetensors with logits and log-probs of padded rows, the gradient of each parameter, and greedy
continuations. With an adapter, the same for LoRA on all linear layers in `lora-NAME`, for DoRA in `dora-NAME`, and the logits after a step. Weights are drawn large: with the usual
0.02 the attention is flat, and a wrong mask or rotation hides below any tolerance.
"""

import argparse, copy, json, re, shutil, warnings, zlib
from pathlib import Path

import peft, torch, transformers
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

ROWS, PROMPTS, NEW = (14, 9, 14), (5, 9), 16  # lengths of rows and prompts, new tokens
S, A, D = "sliding_attention", "full_attention", "linear_attention"
SHAPE = dict(vocab_size=128, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             bos_token_id=1, eos_token_id=2, pad_token_id=0, max_position_embeddings=64)

GEMMA4 = dict(SHAPE, intermediate_size=24, tie_word_embeddings=True, head_dim=8, global_head_dim=16, sliding_window=5, rope_parameters={
    A: dict(rope_type="proportional", rope_theta=1000.0, partial_rotary_factor=0.5), S: dict(rope_type="default", rope_theta=100.0)})


def rope(theta, **more):
    return dict(rope_type="default", rope_theta=theta) | more


def yarn(theta, factor, original, **more):
    return rope(theta, rope_type="yarn", factor=factor, original_max_position_embeddings=original) | more


CASES = {  # name -> (class of the config, of the model, settings)
    "llama-yarn": ("LlamaConfig", "LlamaForCausalLM", dict(SHAPE, rope_parameters=yarn(1000.0, 4.0, 16, beta_fast=4.0, beta_slow=0.5))),
    "olmo2": ("Olmo2Config", "Olmo2ForCausalLM", dict(SHAPE, rope_parameters=rope(5000.0))),
    "olmo3": ("Olmo3Config", "Olmo3ForCausalLM", dict(SHAPE, num_hidden_layers=3, layer_types=[S, S, A], sliding_window=5, rope_parameters={
        A: yarn(500000.0, 8.0, 16, beta_fast=2.0, beta_slow=0.1, attention_factor=1.2), S: rope(500000.0)})),
    "granite": ("GraniteConfig", "GraniteForCausalLM", dict(SHAPE, tie_word_embeddings=True, embedding_multiplier=3.0, logits_scaling=2.0,
                                                           residual_multiplier=0.6, attention_multiplier=0.2)),
    "phi4-mini": ("Phi3Config", "Phi3ForCausalLM", dict(SHAPE, tie_word_embeddings=True, max_position_embeddings=256,
                  original_max_position_embeddings=64, sliding_window=None, rope_parameters=rope(
                      10000.0, rope_type="longrope", partial_rotary_factor=0.75, original_max_position_embeddings=64,
                      short_factor=[1.0, 1.3, 1.7], long_factor=[1.0, 4.0, 9.0]))),
    "ministral3": ("Ministral3Config", "Ministral3ForCausalLM", dict(SHAPE, head_dim=16, rope_parameters=yarn(
        1000.0, 4.0, 4, beta_fast=2.0, beta_slow=0.1, mscale=1.0, mscale_all_dim=0.7, llama_4_scaling_beta=0.3))),
    "lfm2": ("Lfm2Config", "Lfm2ForCausalLM", dict(SHAPE, num_hidden_layers=3, layer_types=["conv", A, "conv"], conv_L_cache=3, conv_bias=False,
             block_auto_adjust_ff_dim=True, block_ffn_dim_multiplier=1.0, block_multiple_of=8, rope_parameters=rope(1000.0))),
    "lfm2-biased": ("Lfm2Config", "Lfm2ForCausalLM", dict(SHAPE, num_hidden_layers=2, layer_types=["conv", A], conv_L_cache=4, conv_bias=True,
                    block_auto_adjust_ff_dim=False, rope_parameters=rope(1000.0))),
    "qwen3.5": ("Qwen3_5TextConfig", "Qwen3_5ForCausalLM", dict(SHAPE, num_hidden_layers=3, layer_types=[D, A, D], head_dim=16, linear_conv_kernel_dim=4,
                linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=12, rms_norm_eps=1e-3,
                rope_parameters=rope(1000.0, partial_rotary_factor=0.25))),
    # Layers that share keys and values and read vectors of their own; and the dense form: neither, and keys that are values
    "gemma4": ("Gemma4TextConfig", "Gemma4ForCausalLM", dict(GEMMA4, num_hidden_layers=5, layer_types=[S, S, A, S, A], num_kv_shared_layers=2,
               use_double_wide_mlp=True, hidden_size_per_layer_input=12, vocab_size_per_layer_input=128)),
    "gemma4-dense": ("Gemma4TextConfig", "Gemma4ForCausalLM", dict(GEMMA4, num_hidden_layers=2, layer_types=[S, A], hidden_size_per_layer_input=0,
                     attention_k_eq_v=True, num_global_key_value_heads=1, final_logit_softcapping=30.0)),
    "gemma4-moe": ("Gemma4TextConfig", "Gemma4ForCausalLM", dict(GEMMA4, num_hidden_layers=2, layer_types=[S, A], hidden_size_per_layer_input=0,
                   enable_moe_block=True, num_experts=4, top_k_experts=2, moe_intermediate_size=16)),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", dict(SHAPE, intermediate_size=24, num_local_experts=4, num_experts_per_tok=2, sliding_window=5,
                rope_parameters=rope(1000.0))),
    "qwen3-moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", dict(SHAPE, num_hidden_layers=3, head_dim=16, moe_intermediate_size=16, num_experts=6,
                  num_experts_per_tok=3, norm_topk_prob=False, mlp_only_layers=[1], rope_parameters=rope(1000.0))),
    "granite-moe": ("GraniteMoeConfig", "GraniteMoeForCausalLM", dict(SHAPE, intermediate_size=24, num_local_experts=5, num_experts_per_tok=2,
                    tie_word_embeddings=True, embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.6, attention_multiplier=0.2,
                    rope_parameters=rope(1000.0))),
    "gpt-oss": ("GptOssConfig", "GptOssForCausalLM", dict(SHAPE, head_dim=8, intermediate_size=24, num_local_experts=4, num_experts_per_tok=2,
                swiglu_limit=1.5, layer_types=[S, A], sliding_window=5, rope_parameters=yarn(1000.0, 8.0, 16, beta_fast=4.0, beta_slow=0.5, truncate=False))),
}
# Those that have layers of another kind, or weights that are used in another way: one adapter each
ADAPTED = ["olmo2", "olmo3", "phi4-mini", "ministral3", "qwen3-moe", "granite", "lfm2", "gemma4", "gemma4-moe", "qwen3.5", "mixtral", "granite-moe", "gpt-oss"]
DORA = ["granite"]
EXPERTS = {  # names of experts' modules, as transformers 4 and attune have them: prefix, (those of gate_up_proj), that of down_proj, router
    "mixtral": ("block_sparse_moe", ("w1", "w3"), "w2", "gate"),
    "qwen3-moe": ("mlp", ("gate_proj", "up_proj"), "down_proj", "gate"),
    "granite-moe": ("block_sparse_moe", ("input_linear",), "output_linear", "router.layer"),
    "gpt-oss": ("mlp", ("gate_up_proj",), "down_proj", "router"),
    "gemma4-moe": ("", ("gate_up_proj",), "down_proj", "router"),
}

# ----------------------------------------------------------------------------------------------------------------- helpers


def generator(*key):
    return torch.Generator().manual_seed(zlib.crc32(repr(key).encode()))


@torch.no_grad()
def fill(model, g, std=0.25):
    """Random trainable weights: matrices, embeddings, and vectors (norms, biases) around their initial value. Tied embeddings are
    smaller, with a larger final norm: otherwise every token predicts itself."""
    tied = model.config.tie_word_embeddings
    scale = float(getattr(model.config, "embedding_multiplier", 1))
    embeddings = {id(m.weight): float(getattr(m, "embed_scale", 1)) * scale for m in model.modules() if isinstance(m, nn.Embedding)}
    final = [n for n, m in model.named_parameters() if n in ("model.norm.weight", "model.embedding_norm.weight")]
    for name, p in model.named_parameters():
        if p.requires_grad:
            size = 0.3 if p.ndim == 1 else (0.15 if tied else 0.5) / embeddings[id(p)] if id(p) in embeddings else 0.5 if p.ndim == 3 and p.shape[1] == 1 else std
            p.copy_(size * torch.randn(p.shape, generator=g) + (p if p.ndim == 1 else 0))
            if name.endswith(("q_norm.weight", "k_norm.weight")):
                p += 0.5
            if model.config.model_type == "gemma4_text" and name.endswith("q_norm.weight"):
                p *= 0.2  # nothing else scales its scores
            if tied and name in final:
                p += 3 * max(embeddings.values())
    return model.eval()


def pad(rows, value, side="right"):
    fills = [[value] * (max(map(len, rows)) - len(r)) for r in rows]
    return torch.tensor([r + f if side == "right" else f + r for r, f in zip(rows, fills)])


def mask_of(rows, side="right"):
    return pad([[1] * len(r) for r in rows], 0, side)


def draw(lengths, g):
    return [[1] + torch.randint(3, SHAPE["vocab_size"], (n - 1,), generator=g).tolist() for n in lengths]


def forward(model, ids, mask, positions=None):
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
    logps = F.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None])[..., 0]
    return dict(logits=logits, logps=logps * (mask[:, 1:] * mask[:, :-1]))


def evaluate(model, x):
    model.zero_grad()
    out = forward(model, x["input_ids"], x["attention_mask"])
    loss = -out["logps"][x["labels"][:, 1:] != -100].mean()
    loss.backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    return {k: v.detach() for k, v in out.items()}, loss.item(), grads


def by_expert(name, tensors):
    """Tensors of all experts as one for each module of each expert: weights [E, out, in], LoRA's A [E*r, in] and B [out, r*E]."""
    if name not in EXPERTS:
        return tensors
    prefix, inner, outer, router = EXPERTS[name]
    config = AutoConfig.from_pretrained(ARGS.out / name)
    count = getattr(config, "num_local_experts", None) or config.num_experts
    apart = {}
    for key, t in tensors.items():
        key = re.sub(r"\.mlp\.(?=gate\.|experts\.)|\.block_sparse_moe\.", f".{prefix}.", key)
        key = re.sub(r"\.router\.(?=weight|bias|lora)", f".{router}.", key)
        head, found, tail = key.partition(".experts.")
        if not found:
            apart[key] = t
            continue
        modules = inner if tail.startswith(("gate_up_proj", "base_layer.")) else (outer,)
        lora = re.search("lora_[AB]", tail)
        end = f"{lora[0]}.weight" if lora else "bias" if tail.endswith("_bias") else "weight"
        if name == "gpt-oss" and end == "weight":  # [E, in, out]
            t = t.mT
        if end.startswith("lora_A"):  # of two modules the rank is that of both
            parts = [list(t.unflatten(0, (count, -1))[e].chunk(len(modules))) for e in range(count)]
        elif end.startswith("lora_B"):
            blocks = [t.unflatten(1, (-1, count))[:, :, e].chunk(len(modules)) for e in range(count)]
            parts = [[b.chunk(len(modules), 1)[i] for i, b in enumerate(each)] for each in blocks]
        else:
            parts = [list(t[e].chunk(len(modules))) for e in range(count)]
        for e in range(count):
            for module, part in zip(modules, parts[e]):
                apart[f"{head}.experts.{e}.{module}.{end}"] = part
    return apart


def fresh(name):
    shutil.rmtree(ARGS.out / name, ignore_errors=True)
    (ARGS.out / name).mkdir(parents=True)
    return ARGS.out / name


def write(folder, tensors, facts):
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, folder / "golden.safetensors")
    head = dict(case=folder.name, torch=torch.__version__.split("+")[0], transformers=transformers.__version__)
    (folder / "golden.json").write_text(json.dumps(head | facts, indent=2) + "\n")


def greedy(model, prompts, **options):
    o = model.generate(pad(prompts, 0, "left"), attention_mask=mask_of(prompts, "left"), do_sample=False, max_new_tokens=NEW,
                       return_dict_in_generate=True, output_logits=True, **options)
    return o.sequences, torch.stack(o.logits, 1)


def lead(logits):
    top = logits.topk(2).values
    return (top[..., 0] - top[..., 1]).min().item()


def old_spelling(folder, x, expected):
    """config.v4.json: config.json as transformers 4 wrote it. It must load to the same outputs."""
    c = json.loads((folder / "config.json").read_text())
    if "rope_parameters" not in c or c["model_type"] in ("ministral3", "qwen3_5_text", "gemma4_text"):
        return  # of transformers 5 alone
    c["torch_dtype"] = c.pop("dtype")
    c.pop("transformers_version")
    r = c.pop("rope_parameters")
    if A in r:
        c |= dict(rope_theta=r[A].pop("rope_theta"), rope_scaling=r[A])
    else:
        plain = {k: r.pop(k) for k in ("rope_theta", "partial_rotary_factor") if k in r}
        c |= plain | dict(rope_scaling=None if r == dict(rope_type="default") else r)
    (folder / "config.v4.json").write_text(json.dumps(c, indent=2) + "\n")
    config = AutoConfig.from_pretrained(folder / "config.v4.json")
    with torch.no_grad():
        old = forward(read(folder, config=config).eval(), x["input_ids"], x["attention_mask"])
    assert torch.equal(old["logits"], expected["logits"]), "the two spellings of config.json disagree"


def read(folder, **options):
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, **options)


def case(name, config, family, settings):
    build = lambda: getattr(transformers, family)(getattr(transformers, config)(**settings, attn_implementation="eager"))
    for attempt in range(500):  # until nothing says EOS, no step is a near tie, and no row loops on a few tokens
        g = generator(name, attempt)
        torch.manual_seed(attempt)
        model = fill(build(), g)
        for key, scalar in model.named_buffers():
            if key.endswith("layer_scalar"):
                scalar.uniform_(0.5, 1.5, generator=g)
        prompts = draw((7, 7) if settings.get("conv_bias") else PROMPTS, g)
        sequences, step_logits = greedy(model, prompts)
        new = sequences[:, -NEW:].tolist()
        if 2 not in new[0] + new[1] and lead(step_logits) > 0.01 and min(len(set(row)) for row in new) >= 7:
            break
    else:
        raise RuntimeError(f"{name}: no continuation worth testing")
    folder = fresh(name)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    rows = draw(ROWS, g)
    x = dict(input_ids=pad(rows, 0), attention_mask=mask_of(rows))
    x["labels"] = x["input_ids"].masked_fill(x["attention_mask"] == 0, -100)
    x["labels"][0, :4] = x["labels"][2, :2] = -100  # prompts do not count
    out, loss, grads = evaluate(model, x)
    again, _, grads_again = evaluate(read(folder).eval(), x)
    assert torch.equal(out["logits"], again["logits"]) and all(torch.equal(grads[k], grads_again[k]) for k in grads)
    old_spelling(folder, x, out)
    x |= dict(left_input_ids=pad(rows, 0, "left"), left_attention_mask=mask_of(rows, "left"))
    positions = model._prepare_position_ids_for_generation(x["left_input_ids"], dict(attention_mask=x["left_attention_mask"]))
    with torch.no_grad():
        if settings.get("conv_bias"):  # transformers' convolutions read the biases of padding, so each row alone
            alone = [forward(model, torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long)) for row in rows]
            left = {k: torch.cat([F.pad(each[k], (0, 0) * (each[k].ndim - 2) + (max(ROWS) - len(row), 0)) for each, row in zip(alone, rows)])
                    for k in ("logits", "logps")}
        else:
            left = forward(model, x["left_input_ids"], x["left_attention_mask"], positions)
    largest = max(g.abs().max().item() for g in grads.values())
    zero = [k for k, g in grads.items() if g.abs().max().item() < 1e-7 * largest]
    eos = next(t for i, t in enumerate(new[0]) if i >= 4 and t not in new[0][:i] + new[1][:i + 1])
    facts = dict(loss=loss, zero_gradients=zero, largest=dict(grad=largest, logits=out["logits"].abs().max().item()),
                 generate=dict(max_new_tokens=NEW, eos_token_id=2, gen_eos_token_id=eos, smallest_lead=lead(step_logits)))
    tensors = x | out | {f"left_{k}": v for k, v in left.items()} | {f"grad.{k}": g for k, g in by_expert(name, grads).items()}
    tensors |= dict(gen_input_ids=pad(prompts, 0, "left"), gen_attention_mask=mask_of(prompts, "left"), gen_sequences=sequences,
                    gen_logits=step_logits, gen_eos_sequences=greedy(model, prompts, eos_token_id=eos)[0])
    write(folder, tensors, facts)
    return x


def adapter_of_modules(name, folder):
    """An adapter of each expert's modules, as PEFT wrote it with transformers 4, which PEFT converts when it reads it."""
    config, g, tensors = AutoConfig.from_pretrained(ARGS.out / name), generator("lora", name), {}
    weights = load_file(ARGS.out / name / "model.safetensors")
    modules = sorted(k.removesuffix(".weight") for k, w in weights.items() if w.ndim == 2 and ".layers." in k)
    if name == "qwen3-moe":  # where PEFT 0.21 loses the adapter of a layer without experts when it converts one
        modules = [module for module in modules if ".layers.1.mlp." not in module]
    for module in modules:
        out, inner = weights[f"{module}.weight"].shape
        for key, shape in (("lora_A", (3, inner)), ("lora_B", (out, 3))):
            tensors[f"base_model.model.{module}.{key}.weight"] = 0.15 * torch.randn(shape, generator=g)
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = peft.LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=6, base_model_name_or_path=f"../{name}", inference_mode=True,
                               target_modules=sorted({module.rpartition(".")[2] for module in modules}),
                               exclude_modules=r".*\.layers\.1\.mlp\..*" if name == "qwen3-moe" else None)
    settings.save_pretrained(folder)
    return peft.PeftModel.from_pretrained(read(ARGS.out / name), folder, is_trainable=True, autocast_adapter_dtype=False).eval()


def stepped(model, x):
    """Logits after one step of AdamW on the rows, at a constant rate of 0.003, without decay or clipping."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.003, weight_decay=0.0)
    evaluate(model, x)
    optimizer.step()
    with torch.no_grad():
        return forward(model, x["input_ids"], x["attention_mask"])["logits"]


def adapter_case(name, x, kind="lora"):
    """LoRA or DoRA on every linear layer, as PEFT computes and merges it."""
    folder, source = fresh(f"{kind}-{name}"), ARGS.out / name
    of_modules = name in ("mixtral", "qwen3-moe")
    if of_modules:
        model = adapter_of_modules(name, folder)
    else:
        parameters = ["experts.gate_up_proj", "experts.down_proj"] + ([] if name == "gemma4-moe" else ["router.weight"])
        more = dict(target_parameters=parameters) if name in EXPERTS else {}
        settings = peft.LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=6, target_modules="all-linear", use_dora=kind == "dora", **more)
        model = peft.get_peft_model(read(source), settings, autocast_adapter_dtype=False)
        fill(model, generator(kind, name), 0.15)
        model.peft_config["default"].base_model_name_or_path = f"../{name}"
        model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))
    out, loss, grads = evaluate(model, x)
    with torch.no_grad():
        merged = forward(copy.deepcopy(model).merge_and_unload(), x["input_ids"], x["attention_mask"])["logits"]
    tensors = {k: x[k] for k in ("input_ids", "attention_mask", "labels")} | out | dict(merged_logits=merged)
    if not of_modules:  # PEFT joins the modules of all experts when it reads them, so its step is one of other parameters
        tensors["stepped_logits"] = stepped(model, x)
    grads = by_expert(name, {k.replace(".default", ""): g for k, g in grads.items()})
    write(folder, tensors | {f"grad.{k}": g for k, g in grads.items()}, dict(base=name, loss=loss))


# ----------------------------------------------------------------------------------------------------------- rotary scalings

PHI = dict(partial_rotary_factor=0.75, short_factor=[1 + i / 50 for i in range(48)], long_factor=[1 + i * i / 40 for i in range(48)])
ROPES = [  # (type, settings of the rotation, of the config); those of real models where they have one
    ("linear", rope(10000.0, factor=4.0), {}),
    ("yarn", yarn(1e6, 4.0, 32768), dict(max_position_embeddings=131072)),  # Qwen 2.5 and 3 as their cards say
    ("yarn", yarn(150000.0, 32.0, 4096, beta_fast=32.0, beta_slow=1.0, truncate=False), dict(head_dim=64)),  # gpt-oss
    ("yarn", yarn(1e6, 16.0, 16384, beta_fast=32.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0), dict(head_dim=128)),  # Ministral 3
    ("yarn", yarn(500000.0, 8.0, 8192, attention_factor=1.2079441541679836), dict(head_dim=128)),  # OLMo 3
    ("yarn", yarn(10000.0, 40.0, 4096, mscale=0.707, mscale_all_dim=0.5, partial_rotary_factor=0.5), dict(head_dim=64)),
    ("longrope", rope(10000.0, rope_type="longrope", original_max_position_embeddings=4096, **PHI), dict(head_dim=128, max_position_embeddings=131072)),
    ("llama3", rope(500000.0, rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192),
     dict(head_dim=64, max_position_embeddings=131072)),
    ("dynamic", rope(10000.0, rope_type="dynamic", factor=2.0), dict(max_position_embeddings=4096)),
]


def ropes():
    made = []
    for kind, parameters, settings in ROPES:
        settings = dict(hidden_size=2048, num_attention_heads=16) | settings
        config = transformers.LlamaConfig(rope_parameters=parameters | dict(rope_type=kind), **settings)
        frequencies, scale = ROPE_INIT_FUNCTIONS[kind](config, None)
        made.append(dict(config=json.loads(config.to_json_string()), frequencies=frequencies.tolist(), scale=scale))
    (ARGS.out / "ropes.json").write_text("[\n" + ",\n".join(json.dumps(each) for each in made) + "\n]\n")


def mxfp4():
    """A weight of gpt-oss's experts as its checkpoints have it, and what transformers makes of it."""
    g, (E, out, inner) = generator("mxfp4"), (4, 48, 32)
    blocks = torch.randint(0, 256, (E, out, inner // 32, 16), generator=g, dtype=torch.uint8)
    scales = torch.randint(100, 150, (E, out, inner // 32), generator=g, dtype=torch.uint8)
    values = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    save_file(dict(blocks=blocks, scales=scales, values=values.contiguous()), ARGS.out / "mxfp4.safetensors")


def main():
    global ARGS
    parser = argparse.ArgumentParser(description="Write the goldens of architectures.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", type=lambda text: text.split(","))
    ARGS = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if not ARGS.only:
        ropes()
        mxfp4()
    for name, settings in CASES.items():
        if ARGS.only and name not in ARGS.only:
            continue
        x = case(name, *settings)
        if name in ADAPTED:
            adapter_case(name, x)
        if name in DORA:
            adapter_case(name, x, "dora")
        print(name, flush=True)
    for path in ARGS.out.rglob("*.safetensors"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
