"""Checks every model of a folder with onnx.checker and full_check (shape and type inference, strict).

Operators of com.microsoft have no schema there, so the checker passes over them; SimplifiedLayerNormalization, which ONNX
Runtime keeps in ONNX's own domain, is moved to com.microsoft in the copy that is checked."""
import collections
import json
import pathlib
import sys

import onnx

counts = collections.Counter()
failures = []
names = collections.Counter()
private = collections.Counter()
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    model = onnx.load(str(path))
    own = [n for n in model.graph.node if n.domain == "com.microsoft" or n.op_type == "SimplifiedLayerNormalization"]
    for node in own:
        private[node.op_type] += 1
        node.domain = "com.microsoft"
    kind = "private" if own else "standard"
    counts[kind] += 1
    names[model.graph.name] += 1
    try:
        onnx.checker.check_model(model, full_check=True)
        counts[kind + " passed"] += 1
    except Exception as error:  # every reason is reported
        failures.append({"file": path.name, "program": model.graph.name, "error": str(error)[:400]})
print(json.dumps({"onnx": onnx.__version__, **counts, "programs": names, "private operators": private, "failures": failures}, indent=1))
sys.exit(bool(failures))
