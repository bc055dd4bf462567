"""The peer of checkTemplates.mjs: renders the snippets with Jinja2 as transformers sets it up.

    python checkTemplates.py < cases.jsonl > theirs.jsonl

A case is {"template", "data"}, its data JSON text; the result is {"text"} or {"error"}."""
import json
import signal
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template


def late(*_):
    raise TimeoutError('longer than 5 seconds')


signal.signal(signal.SIGALRM, late)
for line in sys.stdin:
    case = json.loads(line)
    signal.alarm(5)
    try:
        answer = {"text": _compile_jinja_template(case["template"]).render(**json.loads(case["data"]))}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"[:300]}
    print(json.dumps(answer), flush=True)
