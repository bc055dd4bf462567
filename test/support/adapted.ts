/** A model with an adapter, and its log-probs and gradients on a few rows, for tests that compare two forms of its weights. */
import { lazyTensor, type StoredTensor } from '../../src/checkpoint/stored.ts'
import { pack } from '../../src/data/batch.ts'
import { newAdapter } from '../../src/models/loraNew.ts'
import { applyAdapter, type Base } from '../../src/models/merge.ts'
import { scaledUnits, targetStates, targetStatesBackward, tokenPass } from '../../src/passes/head.ts'
import { place } from '../../src/passes/layout.ts'
import type { Model } from '../../src/passes/model.ts'
import { backward, forward, type Plan } from '../../src/passes/stack.ts'
import { fillNormal } from '../../src/util/rng.ts'

/** A new adapter whose B is not zero, so that A has a gradient. */
export const withAdapter = (base: Base) => {
  const adapter = newAdapter({ r: 2, alpha: 4, dropout: 0, targets: 'all-linear' }, base.architecture, base.config, 1)
  const drawn = [...adapter.params].map(([name, { shape }], stream): [string, StoredTensor] => {
    const make = () => {
      const values = new Float32Array(shape[0] * shape[1])
      fillNormal(values, { seed: 3, stream, substream: 0 }, 0.05)
      return values
    }
    return [name, lazyTensor(name, shape, make)]
  })
  return { whole: applyAdapter(base, { ...adapter, params: new Map(drawn) }), names: drawn.map(([name]) => name) }
}

/** Of each target its log-prob, and the gradients of some parameters. */
export const logpsAndGradients = async (model: Model, names: readonly string[], plan: Plan) => {
  const { backend } = model
  const branches = [
    {
      trunk: [1, 5, 9, 13],
      branches: [
        [3, 8, 2],
        [7, 6],
      ],
    },
    { trunk: [1, 4], branches: [[11, 12, 10, 9]] },
  ]
  const placed = place(model, pack(branches, 2))
  const gradients = new Map(names.map((name) => [name, backend.zeros(model.params.get(name)!.shape)]))
  const { hidden, trail } = forward(model, placed, plan, gradients)
  const h = targetStates(model, hidden, placed)
  const { logps, unit } = tokenPass(model, h, placed, ['logps'], { unit: true })
  const scales = backend.put(
    Float32Array.from({ length: placed.targets.count }, (_, i) => Math.cos(i)),
    [placed.targets.count],
  )
  const dh = scaledUnits(model, unit!, scales)
  backward(model, trail, targetStatesBackward(model, hidden, placed, dh, gradients), gradients)
  const read = await Promise.all([...gradients].map(([, handle]) => backend.read(handle)))
  return { logps: await backend.read(logps), gradients: read }
}

/** A small model of each architecture with a language head, under test/fixtures/models; of Gemma 1 there is none. */
export const adaptedModels = [
  'gemma2',
  'gemma3',
  'gemma4',
  'gpt-oss',
  'gpt2',
  'granite',
  'granite-moe',
  'lfm2',
  'llama-tied',
  'ministral3',
  'mixtral',
  'mistral-sliding',
  'olmo2',
  'olmo3',
  'phi3',
  'qwen2',
  'qwen3',
  'qwen3-moe',
  'qwen3.5',
  'smollm3',
]
