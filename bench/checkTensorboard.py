"""The Python side of checkTensorboard.mjs: reads attune's event files with TensorBoard's own reader, and writes files with
torch's SummaryWriter, TensorBoard's scalar summaries as tensors, and the Trainer of transformers where it is there."""

import json
import math
import os
import struct
import sys

import numpy as np
import tensorboard
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.scalar.metadata import create_summary_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util
from torch.utils.tensorboard import SummaryWriter

work = sys.argv[1]
theirs = os.path.join(work, 'theirs')
f32 = lambda x: struct.unpack('f', struct.pack('f', x))[0]


def scalars(folder):
    board = EventAccumulator(folder, size_guidance={'scalars': 0, 'tensors': 0})
    board.Reload()
    curves = {tag: [[e.step, e.value] for e in board.Scalars(tag)] for tag in board.Tags()['scalars']}
    for tag in board.Tags()['tensors']:
        if board.SummaryMetadata(tag).plugin_data.plugin_name == 'scalars':
            curves[tag] = [[e.step, float(tensor_util.make_ndarray(e.tensor_proto))] for e in board.Tensors(tag)]
    return {tag: [[step, value] for step, value in points if math.isfinite(value)] for tag, points in curves.items()}


written = []
named = lambda tag: tag.replace('train/', '', 1) if tag.startswith('train/') else tag.replace('eval/', 'eval_', 1)


def expect(name):
    curves = scalars(os.path.join(theirs, name))
    written.append({'name': name, 'curves': {named(tag): points for tag, points in curves.items() if points}})


# torch: simple values, tensors (new_style), other kinds between them, large and negative steps' neighbours, not-finite values
with SummaryWriter(os.path.join(theirs, 'torch')) as writer:
    for step in range(200):
        writer.add_scalar('train/loss', 1 / (1 + step), step)
        writer.add_scalar('train/new', step * 0.1, step, new_style=True)
        writer.add_scalar('train/double', step * 0.1, step, new_style=True, double_precision=True)
        if step % 50 == 0:
            writer.add_scalar('eval/loss', float('nan') if step == 100 else step, step)
            writer.add_histogram('weights', np.random.rand(100), step)
            writer.add_text('note', 'a text', step)
            writer.add_image('image', np.zeros((3, 600, 600)), step)
    writer.add_scalar('late', 1, 2**40)
    writer.add_scalars('pair', {'a': 1, 'b': 2}, 5)
    writer.add_hparams({'lr': 0.1}, {'hparam/accuracy': 0.5}, run_name='hparams')
expect('torch')
expect('torch/pair_a')
expect('torch/hparams')

# A run that was taken up again at step 50
with SummaryWriter(os.path.join(theirs, 'resumed'), filename_suffix='.1') as writer:
    for step in range(100):
        writer.add_scalar('train/loss', step, step)
with SummaryWriter(os.path.join(theirs, 'resumed'), purge_step=50, filename_suffix='.2') as writer:
    for step in range(50, 80):
        writer.add_scalar('train/loss', -step, step)
expect('resumed')

# Tensors of every type, as TensorFlow 2 and JAX write scalars
writer = EventFileWriter(os.path.join(theirs, 'tensors'))
for name in ['float32', 'float64', 'float16', 'int32', 'int64', 'uint8', 'int16', 'int8', 'bool']:
    for step, value in enumerate([0, 1, 3.25, 77.5, -5.5]):
        if value < 0 and (name == 'uint8' or name == 'bool'):
            continue
        tensor = tensor_util.make_tensor_proto(np.asarray(value).astype(name))
        value = summary_pb2.Summary.Value(tag=name, tensor=tensor, metadata=create_summary_metadata('', ''))
        writer.add_event(event_pb2.Event(step=step, wall_time=1.0, summary=summary_pb2.Summary(value=[value])))
        if name in ('float32', 'int64'):
            content = summary_pb2.Summary.Value(tag=name + ' content', metadata=create_summary_metadata('', ''))
            content.tensor.CopyFrom(tensor)
            for field in ('float_val', 'int64_val'):
                content.tensor.ClearField(field)
            content.tensor.tensor_content = tensor_util.make_ndarray(tensor).tobytes()
            writer.add_event(event_pb2.Event(step=step, wall_time=1.0, summary=summary_pb2.Summary(value=[content])))
writer.close()
expect('tensors')

# A writer that was killed: TensorBoard and attune pass over the torn end
with SummaryWriter(os.path.join(theirs, 'torn')) as writer:
    for step in range(20):
        writer.add_scalar('train/loss', step, step)
path = next(os.path.join(theirs, 'torn', name) for name in os.listdir(os.path.join(theirs, 'torn')))
os.truncate(path, os.path.getsize(path) - 7)
expect('torn')

versions = {'tensorboard': tensorboard.__version__, 'torch': torch.__version__}
try:
    import transformers
    from transformers import Trainer, TrainingArguments

    class Data(torch.utils.data.Dataset):
        __len__ = lambda self: 16
        __getitem__ = lambda self, i: {'x': torch.ones(2) * i, 'labels': torch.ones(1)}

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x, labels):
            logits = self.layer(x)
            return {'loss': ((logits - labels) ** 2).mean(), 'logits': logits}

    output = os.path.join(theirs, 'trainer')
    os.environ['TENSORBOARD_LOGGING_DIR'] = os.path.join(output, 'board')
    arguments = TrainingArguments(output, max_steps=6, logging_steps=1, eval_strategy='steps', eval_steps=2, save_steps=3,
                                  report_to=['tensorboard'], use_cpu=True, disable_tqdm=True, per_device_train_batch_size=4)
    trainer = Trainer(Model(), arguments, train_dataset=Data(), eval_dataset=Data())
    trainer.train()
    trainer.save_state()
    curves = {}
    for entry in trainer.state.log_history:
        for name, value in entry.items():
            if name != 'step' and isinstance(value, (int, float)) and math.isfinite(value):
                curves.setdefault(name, []).append([entry['step'], value])
    written.append({'name': 'trainer', 'curves': curves})
    for folder, _, files in os.walk(output):
        if any('.tfevents.' in name for name in files):
            expect(os.path.relpath(folder, theirs))
    versions['transformers'] = transformers.__version__
except ImportError as error:
    print('without transformers:', error)

json.dump({'versions': versions, 'read': scalars(os.path.join(work, 'run', 'tb')), 'written': written}, open(os.path.join(work, 'theirs.json'), 'w'))
