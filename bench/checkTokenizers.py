"""Encodes the texts of a JSON file with AutoTokenizer and writes one JSON line per text. Called by checkTokenizers.mjs."""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import tokenizers
import transformers

transformers.logging.set_verbosity_error()
folder, texts, out = sys.argv[1:]
try:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    name = type(tokenizer).__name__
except Exception:  # A class of the model's own code: the file alone.
    tokenizer = transformers.TokenizersBackend.from_pretrained(folder)
    name = "the file alone"


def well_formed(text):
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


with open(out, "w") as lines:
    print(json.dumps({"class": name, "versions": [transformers.__version__, tokenizers.__version__]}), file=lines)
    for text in json.load(open(texts)):
        row = tokenizer(well_formed(text), return_offsets_mapping=True)
        ids = row["input_ids"]
        answer = {
            "ids": ids,
            "bare": tokenizer(well_formed(text), add_special_tokens=False)["input_ids"],
            "offsets": [end for pair in row["offset_mapping"] for end in pair],
            "decode": tokenizer.decode(ids),
            "skip": tokenizer.decode(ids, skip_special_tokens=True),
        }
        print(json.dumps(answer), file=lines)
