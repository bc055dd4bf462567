"""The same work in PyTorch and TRL: prints {"steps": [seconds], "peak": bytes}. Its python needs torch, transformers, peft, trl."""

import argparse
import json
import resource
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("method")
parser.add_argument("--model")
parser.add_argument("--data")
parser.add_argument("--batch-size", type=int)
parser.add_argument("--steps", type=int)
parser.add_argument("--lora", action="store_true")
parser.add_argument("--dtype")
args = parser.parse_args()

rows = [json.loads(line) for line in open(args.data)]
model = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
lora = LoraConfig(r=32, lora_alpha=64, lora_dropout=0, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
seconds = []


def language_model():
    trained = get_peft_model(model, lora) if args.lora else model
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


def preferences():
    import tempfile

    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from tokenizers import Tokenizer, models
    from trl import DPOConfig, DPOTrainer

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.started = time.perf_counter()

        def on_step_end(self, *_, **__):
            seconds.append(time.perf_counter() - self.started)

    vocabulary = {f"t{i}": i for i in range(model.config.vocab_size)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="t0")), pad_token="t2", eos_token="t2", unk_token="t0"
    )
    names = ["prompt", "chosen", "rejected"]
    data = Dataset.from_list([{f"{n}_ids": row[f"{n}_input_ids"] for n in names} for row in rows])
    config = DPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=args.batch_size,
        max_steps=args.steps,
        learning_rate=1e-5,
        max_length=1024,
        use_cpu=True,
        bf16=args.dtype == "bfloat16",
        report_to=[],
        save_strategy="no",
        logging_steps=1000,
        disable_tqdm=True,
        gradient_checkpointing=False,
    )

    class Tokenized(DPOTrainer):
        """The rows are ids already."""

        def _prepare_dataset(self, dataset, *_, **__):
            return dataset

    Tokenized(
        model=model, args=config, train_dataset=data, processing_class=tokenizer, peft_config=lora, callbacks=[Clock()]
    ).train()


{"sft": language_model, "dpo": preferences}[args.method]()
print(json.dumps({"steps": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
