"""
Makes test/fixtures/checkpoint/gguf: blocks.gguf, a tensor of every type of block with random contents, and blocks.safetensors,
its values as the Python package gguf gives them (of Q8_K, which that package does not read, by the formula of ggml).

    pip install gguf safetensors && python bench/ggufGolden.py
"""
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize
from safetensors.numpy import save_file

rows, columns = 3, 512
types = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ4_NL IQ4_XS".split()
# where in a block fp16 numbers stand
halves = {
    "F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}
random = np.random.default_rng(18)
folder = Path(__file__).parent.parent / "test/fixtures/checkpoint/gguf"
writer = GGUFWriter(folder / "blocks.gguf", "llama")
values = {}
for name in types:
    kind = GGMLQuantizationType[name]
    block, size = GGML_QUANT_SIZES[kind]
    count = rows * columns // block
    stored = random.integers(0, 256, (count, size), dtype=np.uint8)
    # scales of both signs from subnormal to large; no infinity
    for at in halves.get(name, []):
        numbers = (random.normal(size=count) * 10.0 ** random.integers(-8, 4, count)).astype(np.float16)
        stored[:, at : at + 2] = numbers.view(np.uint8).reshape(count, 2)
    if name in ("F32", "Q8_K"):
        stored[:, :4] = random.normal(size=count).astype(np.float32).view(np.uint8).reshape(count, 4)
    if name == "BF16":
        stored[:, :] = (random.normal(size=count).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(count, 2)
    stored = stored.reshape(rows, columns // block * size)
    if name == "Q8_K":
        blocks = stored.reshape(count, size)
        values[name] = (blocks[:, :4].copy().view(np.float32) * blocks[:, 4:260].view(np.int8).astype(np.float32)).reshape(rows, columns)
    else:
        values[name] = np.ascontiguousarray(dequantize(stored, kind).reshape(rows, columns))
    assert np.isfinite(values[name]).all(), name
    writer.add_tensor(name, stored, raw_dtype=kind)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
save_file(values, folder / "blocks.safetensors")
