"""The peer of bench.mjs: trains with PyTorch and TRL and prints {"steps": [seconds], "peak": bytes}. Needs torch, transformers, peft and trl."""

import argparse
import json
import resource
import tempfile
import time

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

parser = argparse.ArgumentParser()
parser.add_argument("method")
parser.add_argument("--model")
parser.add_argument("--data")
parser.add_argument("--batch-size", type=int)
parser.add_argument("--steps", type=int)
parser.add_argument("--lora", action="store_true")
parser.add_argument("--dtype")
parser.add_argument("--teacher")
args = parser.parse_args()

rows = [json.loads(line) for line in open(args.data)]
int8 = args.dtype == "int8"
if int8:
    args.dtype = "float32"
model = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
lora = LoraConfig(r=32, lora_alpha=64, lora_dropout=0, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
seconds = []


def in_int8(trained):
    """The int8 training of torchao: the blocks' weights stay in fp32, their products are in 8 bits, forward and backward."""
    from torchao import quantize_
    from torchao.prototype.quantized_training import Int8MixedPrecisionTrainingConfig

    def is_base(module, name):
        return isinstance(module, torch.nn.Linear) and ".layers." in f".{name}" and "lora_" not in name

    quantize_(trained, Int8MixedPrecisionTrainingConfig(), filter_fn=is_base)


def language_model():
    trained = get_peft_model(model, lora) if args.lora else model
    if int8:
        in_int8(trained)
    trained.train()
    optimizer = torch.optim.AdamW([p for p in trained.parameters() if p.requires_grad], lr=1e-5)
    for step in range(args.steps):
        started = time.perf_counter()
        batch = rows[step * args.batch_size : (step + 1) * args.batch_size]
        ids = torch.tensor([row["input_ids"] for row in batch])
        trained(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in trained.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)


def clock():
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.started = time.perf_counter()

        def on_step_end(self, *_, **__):
            seconds.append(time.perf_counter() - self.started)

    return Clock()


def tokenizer():
    """A tokenizer with one word per id: t0 t1 ..."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {f"t{i}": i for i in range(model.config.vocab_size)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="t0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="t2", eos_token="t2", unk_token="t0")


def common():
    return dict(
        output_dir=tempfile.mkdtemp(),
        max_steps=args.steps,
        learning_rate=1e-5,
        use_cpu=True,
        bf16=args.dtype == "bfloat16",
        report_to=[],
        save_strategy="no",
        logging_steps=1000,
        disable_tqdm=True,
        gradient_checkpointing=False,
    )


def as_they_are(trainer):
    """The rows are token ids already, so nothing is tokenized."""

    class Tokenized(trainer):
        def _prepare_dataset(self, dataset, *_, **__):
            return dataset

    return Tokenized


def preferences():
    from trl import DPOConfig, DPOTrainer

    names = ["prompt", "chosen", "rejected"]
    data = Dataset.from_list([{f"{n}_ids": row[f"{n}_input_ids"] for n in names} for row in rows])
    config = DPOConfig(per_device_train_batch_size=args.batch_size, max_length=1024, **common())
    as_they_are(DPOTrainer)(
        model=model, args=config, train_dataset=data, processing_class=tokenizer(), peft_config=lora, callbacks=[clock()]
    ).train()


def reward():
    from trl import RewardConfig, RewardTrainer

    scored = AutoModelForSequenceClassification.from_pretrained(
        args.model, num_labels=1, dtype=getattr(torch, args.dtype), pad_token_id=2
    )
    sides = ["chosen", "rejected"]
    data = [{f"{side}_ids": row["prompt_input_ids"] + row[f"{side}_input_ids"] for side in sides} for row in rows]
    config = RewardConfig(per_device_train_batch_size=args.batch_size, max_length=1024, **common())
    adapter = LoraConfig(r=32, lora_alpha=64, lora_dropout=0, target_modules=["q_proj", "v_proj"], task_type="SEQ_CLS")
    as_they_are(RewardTrainer)(
        model=scored,
        args=config,
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer(),
        peft_config=adapter,
        callbacks=[clock()],
    ).train()


def grpo():
    """Steps of batch-size prompts with 4 samples of 64 tokens each; the reward is the number of odd token ids."""
    from trl import GRPOConfig, GRPOTrainer

    data = Dataset.from_list([{"prompt": " ".join(f"t{i}" for i in row["prompt_input_ids"])} for row in rows])
    config = GRPOConfig(
        per_device_train_batch_size=4 * args.batch_size,
        num_generations=4,
        max_completion_length=64,
        generation_kwargs={"min_new_tokens": 64},
        beta=0.0,
        **common(),
    )
    GRPOTrainer(
        model=model,
        args=config,
        train_dataset=data,
        processing_class=tokenizer(),
        reward_funcs=lambda completions, **_: [float(sum(int(t[1:]) % 2 for t in text.split())) for text in completions],
        peft_config=lora,
        callbacks=[clock()],
    ).train()


def distill():
    """Steps of batch-size prompts, each with a completion of 64 tokens at most that the student samples (lmbda 1)."""
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    def collate(batch):
        ids = torch.tensor([row["prompt_input_ids"] for row in batch])
        mask = torch.ones_like(ids)
        labels = torch.cat([torch.full_like(ids[:, :-1], -100), ids[:, -1:]], 1)
        return {"input_ids": ids, "attention_mask": mask, "labels": labels, "prompts": ids, "prompt_attention_mask": mask}

    config = GKDConfig(
        per_device_train_batch_size=args.batch_size, lmbda=1.0, beta=1.0, temperature=1.0, max_new_tokens=64, **common()
    )
    GKDTrainer(
        model=model,
        teacher_model=AutoModelForCausalLM.from_pretrained(args.teacher, dtype=getattr(torch, args.dtype)),
        args=config,
        data_collator=collate,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(),
        peft_config=lora,
        callbacks=[clock()],
    ).train()


{"sft": language_model, "dpo": preferences, "reward": reward, "grpo": grpo, "distill": distill}[args.method]()
print(json.dumps({"steps": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
