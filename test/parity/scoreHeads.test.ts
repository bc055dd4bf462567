/**
 * Reward models of every architecture compared with transformers, and their adapters with PEFT.
 * Their files load and give the same scores, and files saved by attune have the same names, shapes and settings.
 * bench/scoresGolden.py makes the golden.
 */
import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { lazyTensor, type StoredTensor } from '../../src/checkpoint/stored.ts'
import { scoreWeight } from '../../src/models/architecture.ts'
import { loadPretrained } from '../../src/models/load.node.ts'
import { joinCheckpoint } from '../../src/models/load.ts'
import { parseAdapter } from '../../src/models/lora.ts'
import { adapterFiles } from '../../src/models/loraNew.ts'
import { applyAdapter, type Base } from '../../src/models/merge.ts'
import { architectures } from '../../src/models/registry.ts'
import { modelFiles } from '../../src/models/save.ts'
import { asRewardModel, classifier } from '../../src/models/scored.ts'
import { putWeights } from '../../src/passes/load.ts'
import { makeModel } from '../../src/passes/model.ts'
import { scoresOf } from '../../src/passes/scores.ts'
import { openBackend } from '../../src/runtime/open.node.ts'
import { fixture, largestDifference } from '../support/golden.ts'

type Coded = Record<string, { shape: number[]; base64: string }>
type Golden = {
  config: Record<string, unknown>
  shapes: Record<string, number[]>
  /** The score head; for Gemma 1, which has no fixture, all weights. */
  tensors: Coded
  /** [row][label] */
  logits: number[][]
  adapter: { config: Record<string, unknown>; tensors: Coded; logits: number[][] }
}

const packed = await readFile(fixture('models/scores.json.gz'))
const { rows, models }: { rows: number[][]; models: Record<string, Golden> } = JSON.parse(gunzipSync(packed).toString())
const trees = rows.map((row) => ({ trunk: [], branches: [row] }))

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const decoded = (tensors: Coded): Map<string, StoredTensor> =>
  new Map(
    Object.entries(tensors).map(([name, { shape, base64 }]) => {
      const bytes = new Uint8Array(Buffer.from(base64, 'base64'))
      return [name, lazyTensor(name, shape, () => new Float32Array(bytes.buffer))]
    }),
  )

/** The model of transformers; all weights but the score head come from the fixture. */
const theirs = async (name: string, { config, tensors }: Golden): Promise<Base> => {
  const own = decoded(tensors)
  const body = own.size > 1 ? [] : (await loadPretrained(fixture(`models/${name}`))).params
  return joinCheckpoint({ dir: name, config, tensors: new Map([...body, ...own]) })
}

const scoresBy = async (base: Base & { scalings?: Map<string, number> }) => {
  const model = makeModel({ ...base, backend, params: await putWeights(backend, base.params) })
  return (await scoresOf(model, trees)).flat(2)
}

const shapesOf = (tensors: readonly { name: string; shape: readonly number[] }[]) =>
  Object.fromEntries(tensors.map(({ name, shape }) => [name, [...shape]]))

/** transformers 5.24 has no class for these: attune alone reads what it writes. */
const withoutClass = [
  'Gemma4ForSequenceClassification',
  'GraniteForSequenceClassification',
  'GraniteMoeForSequenceClassification',
  'Lfm2ForSequenceClassification',
]

/** The same head on blocks that are held against transformers as language models. */
const sameHead = [
  'GptOssForSequenceClassification',
  'MixtralForSequenceClassification',
  'Qwen3MoeForSequenceClassification',
  'Qwen3_5TextForSequenceClassification',
]

it('the golden has a reward model of every architecture', () => {
  const names = Object.values(models).flatMap(({ config }) => config.architectures)
  expect([...names, ...withoutClass, ...sameHead].sort()).toEqual(
    architectures.map((each) => classifier(each).name).sort(),
  )
})

describe.each(Object.entries(models))('reward model %s', async (name, golden) => {
  const model = await theirs(name, golden)
  const { config, tensors, logits } = golden.adapter
  const adapter = parseAdapter(config, decoded(tensors), model.architecture, model.config, name)

  it('has the scores of transformers', async () => {
    expect(model.architecture.scores).toBe('alone')
    expect(largestDifference(await scoresBy(model), golden.logits.flat())).toBeLessThan(1e-4)
  })

  it('with an adapter has the scores of PEFT', async () => {
    // Scores up to 92, of which fp32 keeps seven digits
    const largest = Math.max(...logits.flat().map(Math.abs))
    const mine = await scoresBy(applyAdapter(model, adapter))
    expect(largestDifference(mine, logits.flat())).toBeLessThan(Math.max(1e-4, 1e-5 * largest))
  })

  it('is saved with the tensor names, shapes and config of transformers', () => {
    const head = model.params.get(scoreWeight)!
    const language = architectures.find((each) => classifier(each).name === model.architecture.name)!
    // Made from the language model, as `attune reward` does
    const made = asRewardModel({ ...model, architecture: language }, head)
    const files = modelFiles(made, 'F32')
    expect(shapesOf(files.tensors)).toEqual(golden.shapes)
    const saved = JSON.parse(files.texts['config.json'])
    for (const key of ['architectures', 'model_type', 'id2label', 'label2id', 'pad_token_id'])
      expect(saved[key], key).toEqual(golden.config[key])
  })

  it('has its adapter saved with the tensor names, shapes and config of PEFT', () => {
    const { architecture, config: own } = model
    const files = adapterFiles(adapter, architecture, own, async () => new Float32Array(), name)
    expect(shapesOf(files.tensors)).toEqual(
      Object.fromEntries(Object.entries(tensors).map(([key, { shape }]) => [key, shape])),
    )
    const saved = JSON.parse(files.config)
    for (const key of ['task_type', 'peft_type', 'r', 'lora_alpha', 'fan_in_fan_out'])
      expect(saved[key], key).toEqual(config[key])
    expect(saved.modules_to_save).toEqual(['score'])
    // The saved config has shorter names for the same modules
    expect(parseAdapter(saved, decoded(tensors), architecture, own, name)).toEqual({
      ...adapter,
      params: expect.anything(),
    })
  })
})
