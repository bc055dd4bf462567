"""Writes test/fixtures/maths/distill.json.gz: distillation as TRL's GKDTrainer and a replay in float64 see it.

    python bench/distillGolden.py test/fixtures

Of the objective: divergences between random distributions by TRL's generalized_jsd_loss, and their gradients by autograd. Of
training: runs of GKDTrainer on the completions of fixed rows (lmbda 0), from test/fixtures/trl/model towards the stories260K model,
with the loss and gradient norm of each step and the final weights. A plain loop in float64 with the formula of the paper must
agree with TRL; how far they differ is stored too."""
import base64
import gzip
import json
import pathlib
import sys
import tempfile
import warnings

import torch
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
from trl.experimental.gkd import GKDConfig, GKDTrainer

torch.set_num_threads(1)
warnings.simplefilter("ignore")
FIXTURES = pathlib.Path(sys.argv[1])
STUDENT, TEACHER, ADAPTER = FIXTURES / "trl/model", FIXTURES / "models/stories260K", FIXTURES / "trl/lora-start"
STEPS, BATCH, RATE = 6, 4, 1e-3

# Rows of token ids: prompts and completions of several lengths, each completion with the end token 2
ROWS = [
    {
        "prompt": [1] + [3 + (31 * r + 7 * i + i * i) % 500 for i in range(2 + r % 5)],
        "completion": [3 + (17 * r + 11 * i + i * i * i) % 500 for i in range(3 + (r * 5) % 9)] + [2],
    }
    for r in range(16)
]


def collate(rows):
    width = max(len(r["prompt"]) + len(r["completion"]) for r in rows)
    padded = lambda part, fill: torch.tensor([part(r) + [fill] * (width - len(r["prompt"]) - len(r["completion"])) for r in rows])
    return {
        "input_ids": padded(lambda r: r["prompt"] + r["completion"], 0),
        "attention_mask": padded(lambda r: [1] * (len(r["prompt"]) + len(r["completion"])), 0),
        "labels": padded(lambda r: [-100] * len(r["prompt"]) + r["completion"], -100),
        "prompts": torch.tensor([[1]] * len(rows)),
        "prompt_attention_mask": torch.tensor([[1]] * len(rows)),
    }


def divergence(student, teacher, beta):
    """Agarwal et al. 2024, eq. 1, of each position, by plain probabilities in float64."""
    p, q = student.softmax(-1), teacher.softmax(-1)
    kl = lambda a, b: (a * (a.log() - b.log())).sum(-1)
    if beta in (0, 1):
        return kl(q, p) if beta == 0 else kl(p, q)
    m = beta * q + (1 - beta) * p
    return beta * kl(q, m) + (1 - beta) * kl(p, m)


def objective():
    torch.manual_seed(1)
    cases = []
    for beta in (0.0, 0.1, 0.5, 0.9, 1.0):
        for temperature in (1.0, 2.0):
            student = (2 * torch.randn(1, 3, 11, dtype=torch.float64)).requires_grad_()
            teacher = 2 * torch.randn(1, 3, 11, dtype=torch.float64)
            each = GKDTrainer.generalized_jsd_loss(student, teacher, beta=beta, temperature=temperature, reduction="none").sum(-1)
            assert (each - divergence(student / temperature, teacher / temperature, beta)).abs().max() < 1e-12
            (slope,) = torch.autograd.grad(each.sum(), student)
            cases.append({"beta": beta, "temperature": temperature, "student": student.tolist()[0], "teacher": teacher.tolist()[0],
                          "divergence": each.tolist()[0], "gradient": slope.tolist()[0]})
    return cases


def models(lora, dtype):
    student = AutoModelForCausalLM.from_pretrained(STUDENT, dtype=dtype)
    if lora:
        student = PeftModel.from_pretrained(student, ADAPTER, is_trainable=True)
        student.to(dtype)
    return student, AutoModelForCausalLM.from_pretrained(TEACHER, dtype=dtype).eval()


def trained(model):
    return {n.replace("base_model.model.", "", 1).replace(".default.", "."): p for n, p in model.named_parameters() if p.requires_grad}


def replay(beta, lora):
    """The same steps without TRL: AdamW, a linear schedule, the gradient clipped to 1."""
    student, teacher = models(lora, torch.float64)
    student.train()
    params = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=RATE, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        batch = collate([ROWS[(step * BATCH + i) % len(ROWS)] for i in range(BATCH)])
        ids, mask, labels = batch["input_ids"], batch["attention_mask"], batch["labels"][:, 1:] != -100
        with torch.no_grad():
            theirs = teacher(input_ids=ids, attention_mask=mask).logits[:, :-1][labels]
        loss = divergence(student(input_ids=ids, attention_mask=mask).logits[:, :-1][labels], theirs, beta).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE * (STEPS - step) / STEPS
        optimizer.step()
        losses.append(loss.item())
    return losses, trained(student)


class Log(TrainerCallback):
    def __init__(self):
        self.steps = []

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.steps.append({"step": state.global_step, **{k: logs[k] for k in ("loss", "grad_norm", "learning_rate")}})


class Exact(GKDTrainer):
    """Logs the loss without rounding it."""
    losses = None

    def compute_loss(self, *given, **named):
        loss = super().compute_loss(*given, **named)
        self.losses.append((loss[0] if isinstance(loss, tuple) else loss).item())
        return loss

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def run(name, beta, lora):
    set_seed(42)
    student, teacher = models(lora, torch.float32)
    with tempfile.TemporaryDirectory() as out:
        args = GKDConfig(output_dir=out, lmbda=0.0, beta=beta, per_device_train_batch_size=BATCH, max_steps=STEPS, learning_rate=RATE,
                         lr_scheduler_type="linear", warmup_steps=0, logging_steps=1, save_strategy="no", report_to=[], use_cpu=True,
                         gradient_checkpointing=False, bf16=False, max_grad_norm=1.0, weight_decay=0.0)
        log = Log()
        Exact.losses = []
        trainer = Exact(model=student, teacher_model=teacher, args=args, data_collator=collate, train_dataset=Dataset.from_list(ROWS),
                        processing_class=AutoTokenizer.from_pretrained(STUDENT), callbacks=[log])
        trainer.train()
    for step, loss in zip(log.steps, Exact.losses):
        step["loss"] = loss
    final = {n: p.detach().clone() for n, p in trained(trainer.model).items()}
    losses, weights = replay(beta, lora)
    off = max(abs(a["loss"] - b) for a, b in zip(log.steps, losses))
    moved = max((final[n].double() - weights[n]).abs().max().item() for n in final)
    print(f"{name}: loss {log.steps[0]['loss']:.4f} -> {log.steps[-1]['loss']:.4f}, TRL off the replay by {off:.1e}, weights {moved:.1e}")
    assert len(log.steps) == STEPS and off < 1e-5 and moved < 1e-4
    coded = {n: base64.b64encode(p.to(torch.float32).numpy().tobytes()).decode() for n, p in final.items()}
    return {"name": name, "beta": beta, "lora": lora, "steps": log.steps, "replay": losses, "final": coded}


RUNS = [run("forward", 0.0, False), run("jsd", 0.5, False), run("reverse", 1.0, False), run("jsd-lora", 0.3, True)]
golden = {"objective": objective(), "training": {"batch": BATCH, "learningRate": RATE, "rows": ROWS, "runs": RUNS}}
with gzip.GzipFile(FIXTURES / "maths/distill.json.gz", "wb", mtime=0) as file:
    file.write(json.dumps(golden).encode())
