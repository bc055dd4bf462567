"""The peer of checkScores.mjs: transformers and PEFT load the models that attune saved, and save models for attune to load.

    python checkScores.py WORK      (WORK/plan.json in, WORK/theirs.json out)

Weights have a large standard deviation, and norms and biases are perturbed. With the usual 0.02 all scores are nearly 0 and
would agree in spite of errors."""
import json
import os
import pathlib
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

torch.set_num_threads(1)
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
WORK = pathlib.Path(sys.argv[1])
PLAN = json.loads((WORK / "plan.json").read_text())
PAD = PLAN["pad"]
# transformers 4 leaves out Gemma 2's soft cap of attention scores, but for the eager implementation
HOW = {} if int(transformers.__version__.split(".")[0]) >= 5 else {"attn_implementation": "eager"}


def scores(model, rows, **inputs):
    with torch.no_grad():
        return model(input_ids=torch.tensor(rows), **inputs).logits.tolist()


def padded(model, side):
    """Scores of all rows in one batch. position_ids are given, as in generate(); without them GPT-2 counts padding too."""
    rows = PLAN["rows"]
    width = max(map(len, rows))
    fill = [[PAD] * (width - len(row)) for row in rows]
    mask = [[0] * len(f) + [1] * len(r) if side == "left" else [1] * len(r) + [0] * len(f) for f, r in zip(fill, rows)]
    ids = [f + r if side == "left" else r + f for f, r in zip(fill, rows)]
    mask = torch.tensor(mask)
    return scores(model, ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0))


def answers_to_texts(model, folder):
    """Scores of texts, padded by the saved tokenizer. A model without a padding token takes no batches."""
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    whole = [text + tokenizer.eos_token for text in PLAN["texts"]]
    ids = [tokenizer(text, return_token_type_ids=False)["input_ids"] for text in whole]
    said = {"single": [scores(model, [row])[0] for row in ids]}
    if model.config.pad_token_id is None:
        return said
    for side in ("right", "left"):
        batch = tokenizer(whole, padding=True, padding_side=side, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            said[side] = model(**batch).logits.tolist()
    return said


def answers(model):
    model.eval()
    single = [scores(model, [row])[0] for row in PLAN["rows"]]
    return {"single": single, "right": padded(model, "right"), "left": padded(model, "left")}


def opened(case):
    """Loads a model. Returns it with the names of weights that did not fit and the warnings about them."""
    if case["how"] != "lora":
        model, info = AutoModelForSequenceClassification.from_pretrained(case["dir"], output_loading_info=True, **HOW)
        return model, [f"{kind}: {name}" for kind, names in info.items() for name in names]
    base = AutoModelForSequenceClassification.from_pretrained(case["base"], num_labels=case["labels"], **HOW)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = peft.PeftModel.from_pretrained(base, case["dir"])
    kept = set(peft.utils.load_peft_weights(case["dir"]))
    misfits = kept ^ set(peft.get_peft_model_state_dict(model))
    return model, sorted(misfits) + [str(w.message)[:200] for w in said if "keys" in str(w.message)]


def read(case):
    try:
        model, misfits = opened(case)
        said = answers_to_texts(model, case["dir"]) if case["how"] == "texts" else answers(model)
        return case | {"misfits": misfits} | said
    except Exception as error:  # every case is reported
        return case | {"error": f"{type(error).__name__}: {error}"[:300]}


def perturbed(model):
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            weight.data += 0.1 * torch.randn_like(weight)
    return model


def written(name, base, how, labels):
    torch.manual_seed(labels)
    target = WORK / f"theirs-{name}-{how}-{labels}"
    if how == "full":
        config = AutoConfig.from_pretrained(base, num_labels=labels, initializer_range=0.3)
        model = perturbed(AutoModelForSequenceClassification.from_config(config, **HOW))
    else:
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=labels, **HOW)
        model.score.weight.data.normal_(0, 0.3)
        lora = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules="all-linear", fan_in_fan_out=name == "gpt2")
        model = peft.get_peft_model(model, lora)
        for key, weight in model.named_parameters():
            if "lora_" in key:
                weight.data.normal_(0, 0.2)
    model.save_pretrained(target)
    return {"name": name, "how": how, "labels": labels, "dir": str(target), "base": base} | answers(model)


theirs = {
    "versions": {"transformers": transformers.__version__, "torch": torch.__version__, "peft": peft.__version__},
    "read": [read(case) for case in PLAN["saved"]],
    "written": [written(name, base, how, n) for name, base in PLAN["models"].items() for how in ("full", "lora") for n in (1, 10)],
}
(WORK / "theirs.json").write_text(json.dumps(theirs))
