"""Tiny tokenizers for the tiny encoders of test/fixtures/models, and BERTScore of some texts by the package bert-score.

python bench/bertScoreGolden.py     (torch, transformers 5, bert-score 0.3.12)
Writes test/fixtures/feedback/bertscore/NAME/ (tokenizer files) and expected.json, which test/parity/bertScore.test.ts reads.
"""
import json
import os
import shutil
import string
import tempfile

import bert_score
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, RobertaTokenizer

# bert-score 0.3 asks an empty text of a method that transformers 5 has no more
PreTrainedTokenizerBase.build_inputs_with_special_tokens = lambda self, ids: self.encode("")
# and its add_prefix_space=True for RoBERTa is an option that transformers 5 passes over
WITHOUT_SPACE = RobertaTokenizer.encode
RobertaTokenizer.encode = lambda self, text, add_prefix_space=False, **more: WITHOUT_SPACE(
    self, " " + text if add_prefix_space and text else text, **more
)

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "..", "test", "fixtures")
OUT = os.path.join(FIXTURES, "feedback", "bertscore")

PAIRS = [
    ("The cat sat on the mat.", ["A cat is on the mat."]),
    ("It depends.", ["Start small and keep notes.", "It depends!"]),
    ("the the the", ["the"]),
    ("", ["something"]),
    ("something", [""]),
    ("  Spaces around  ", ["spaces around"]),
    ("one two three four five six seven eight nine ten eleven twelve thirteen", ["ten nine eight seven"]),
    ("First make a short list of what you already have.", ["Make a list first.", "Why do you ask?"]),
]


def bert(folder: str) -> None:
    words = ["the", "cat", "a", "is", "on", "it", "you", "##ing", "##s", "##er", "list", "make"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase[1:], *("##" + c for c in string.ascii_lowercase), *words, *".,!?'-"]
    vocab = {token: i for i, token in enumerate(tokens)}
    assert len(vocab) <= 128
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", mask_token="[MASK]", model_max_length=64
    ).save_pretrained(folder)


def roberta(folder: str) -> None:
    letters = [*string.ascii_letters, *".,!?'-", "\u0120"]
    merges = [("\u0120", "t"), ("h", "e"), ("\u0120t", "he"), ("i", "n")]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(a + b for a, b in merges), "<mask>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    assert len(vocab) <= 128
    RobertaTokenizer(vocab=vocab, merges=merges, model_max_length=64).save_pretrained(folder)


def scores(folder: str, layers: int, idf: bool) -> list:
    """bert-score itself picks the best reference of several by F."""
    p, r, f = bert_score.score(
        [c for c, _ in PAIRS], [r for _, r in PAIRS], model_type=folder, num_layers=layers, idf=idf, nthreads=1, device="cpu", batch_size=1
    )
    return [[x.item() for x in row] for row in zip(p, r, f)]


def main() -> None:
    expected = []
    for name, make in (("bert", bert), ("roberta", roberta)):
        folder = os.path.join(OUT, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        make(folder)
        with tempfile.TemporaryDirectory() as whole:
            for part in (folder, os.path.join(FIXTURES, "models", name)):
                for file in os.listdir(part):
                    if not file.startswith("golden"):
                        shutil.copy(os.path.join(part, file), whole)
            for layers in (1, 2):
                for idf in (False, True):
                    expected.append({"encoder": name, "layer": layers, "idf": idf, "scores": scores(whole, layers, idf)})
    rows = [{"completion": c, "references": r} for c, r in PAIRS]
    with open(os.path.join(OUT, "expected.json"), "w") as file:
        json.dump({"version": bert_score.__version__, "rows": rows, "expected": expected}, file, separators=(",", ":"))


main()
