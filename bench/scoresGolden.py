"""Writes test/fixtures/models/scores.json.gz: a reward model of every architecture as transformers and PEFT see it.

    python bench/scoresGolden.py test/fixtures/models

Of each: config.json as transformers writes it, names and shapes of its weights, the score head, the scores of some rows, and
an adapter of PEFT's with its scores. The other weights come from the fixtures; those of Gemma 1, which has no fixture, are stored too."""
import base64
import gzip
import json
import pathlib
import sys
import tempfile
import warnings

import peft
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification

torch.set_num_threads(1)
warnings.simplefilter("ignore")
MODELS = pathlib.Path(sys.argv[1])
LABELS, PAD = 10, 0
NAMES = ["llama-gqa-untied", "mistral-sliding", "qwen2", "qwen3", "smollm3", "gemma", "gemma2", "gemma3", "phi3", "gpt2", "olmo2", "olmo3", "ministral3"]
ROWS = [[3 + (f * 13 + 7 * i + i * i) % 90 for i in range(n)] for f, n in ((1, 14), (2, 6), (3, 9), (4, 1))]


def random(*shape, std):
    return torch.randn(shape) * std


def coded(tensors):
    return {k: {"shape": list(v.shape), "base64": base64.b64encode(v.detach().float().numpy().tobytes()).decode()} for k, v in tensors.items()}


def gemma():
    config = AutoConfig.for_model("gemma", vocab_size=128, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                                  num_key_value_heads=1, head_dim=8, max_position_embeddings=64, num_labels=LABELS, initializer_range=0.3)
    model = AutoModelForSequenceClassification.from_config(config)
    for weight in model.parameters():
        if weight.dim() == 1:
            weight.data += random(*weight.shape, std=0.1)
    return model


def logits(model):
    """Scores of each row alone, asserted equal to those of padded batches."""
    model.eval()
    with torch.no_grad():
        single = torch.cat([model(input_ids=torch.tensor([row])).logits for row in ROWS])
        for side in ("left", "right"):
            fill = [[PAD] * (max(map(len, ROWS)) - len(row)) for row in ROWS]
            join = (lambda f, r: f + r) if side == "left" else (lambda f, r: r + f)
            mask = torch.tensor([join([0] * len(f), [1] * len(r)) for f, r in zip(fill, ROWS)])
            ids = torch.tensor([join(f, r) for f, r in zip(fill, ROWS)])
            batch = model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0)).logits
            assert (batch - single).abs().max() < 1e-4, side
    return single.tolist()


def golden(name):
    torch.manual_seed(5)
    model = gemma() if name == "gemma" else AutoModelForSequenceClassification.from_pretrained(MODELS / name, num_labels=LABELS)
    model.config.pad_token_id = PAD
    model.score.weight.data = random(*model.score.weight.shape, std=0.3)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads((pathlib.Path(folder) / "config.json").read_text())
        weights = load_file(pathlib.Path(folder) / "model.safetensors")
    facts = {
        "config": config,
        "shapes": {k: list(v.shape) for k, v in weights.items()},
        "tensors": coded(weights if name == "gemma" else {"score.weight": model.score.weight}),
        "logits": logits(model),
    }
    settings = peft.LoraConfig(task_type="SEQ_CLS", r=2, lora_alpha=3, target_modules="all-linear", fan_in_fan_out=name == "gpt2")
    adapted = peft.get_peft_model(model, settings)
    for key, weight in adapted.named_parameters():
        if "lora_" in key:
            weight.data = random(*weight.shape, std=0.2)
        elif "modules_to_save" in key:
            weight.data += random(*weight.shape, std=0.1)
    with tempfile.TemporaryDirectory() as folder:
        adapted.save_pretrained(folder)
        written = json.loads((pathlib.Path(folder) / "adapter_config.json").read_text())
        tensors = peft.utils.load_peft_weights(folder, device="cpu")
    return facts | {"adapter": {"config": written, "tensors": coded(tensors), "logits": logits(adapted)}}


out = {"transformers": transformers.__version__, "peft": peft.__version__, "rows": ROWS, "models": {name: golden(name) for name in NAMES}}
with gzip.GzipFile(MODELS / "scores.json.gz", "wb", mtime=0) as file:
    file.write(json.dumps(out).encode())
