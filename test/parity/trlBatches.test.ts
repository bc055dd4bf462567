/**
 * Token batches of TRL's collators compared with attune's batches of the same rows: ids and targets of every micro-batch.
 * Also trains on TRL's packing of texts into rows of 192 tokens with attune's loop. Texts that share a row do not attend to
 * each other.
 */

import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import type { PackedBatch } from '../../src/data/batch.ts'
import { rankedExample, type TextExample, textExample, unpairedExample } from '../../src/data/examples.ts'
import { schedule } from '../../src/optim/schedules.ts'
import {
  bestFirst,
  rankedBatches,
  textBatches,
  unpairedBatches,
  unpairedTrees,
} from '../../src/recipes/trainer/collate.ts'
import { type ExampleRule, makeExamples, openDataset } from '../../src/recipes/trainer/dataset.ts'
import { sftObjective } from '../../src/recipes/trainer/objectives.ts'
import { openPolicy } from '../../src/recipes/trainer/policy.ts'
import { sftSchema } from '../../src/recipes/trainer/schema.ts'
import { loadTokenizerFolder } from '../../src/text/tokenizer.node.ts'
import { beginning, train } from '../../src/train/loop.ts'
import type { MicroBatch } from '../../src/train/micro.ts'
import { bytesOf } from '../../src/util/bytes.ts'
import { fixture, largestDifference } from '../support/golden.ts'
import { trlRuns } from '../support/trl.ts'

type Grid = { shape: readonly number[]; values: number[] }

const golden = async (run: string) => {
  const bytes = gunzipSync(await readFile(fixture(`trl/batches/${run}.safetensors.gz`)))
  const { tensors } = await openSafetensors(bytesOf(run, new Uint8Array(bytes)))
  const grids = new Map<string, Grid>()
  for (const [name, tensor] of tensors) {
    const data = (await tensor.bytes()).slice()
    const values = tensor.dtype === 'U8' ? data : new Int32Array(data.buffer)
    grids.set(name, { shape: tensor.shape, values: Array.from(values) })
  }
  const steps = Math.max(...[...grids.keys()].map(Number.parseFloat).map(Math.floor))
  return { grids, steps }
}

/** A text, and a mask of its tokens that are targets. */
type Sequence = { ids: number[]; targets: boolean[] }

const rowsOf = (grids: Map<string, Grid>, prefix: string, counted: (r: number, t: number) => boolean): Sequence[] => {
  const [ids, mask] = [grids.get(`${prefix}input_ids`)!, grids.get(`${prefix}attention_mask`)!]
  const [R, T] = ids.shape
  return Array.from({ length: R }, (_, r) => {
    const at = Array.from({ length: T }, (_, t) => t).filter((t) => mask.values[r * T + t])
    return { ids: at.map((t) => ids.values[r * T + t]), targets: at.map((t) => t > 0 && counted(r, t)) }
  })
}
const byLabels = (grids: Map<string, Grid>, prefix: string) => {
  const { shape, values } = grids.get(`${prefix}labels`)!
  return rowsOf(grids, prefix, (r, t) => values[r * shape[1] + t] !== -100)
}
const byMask = (grids: Map<string, Grid>, prefix: string) => {
  const { shape, values } = grids.get(`${prefix}completion_mask`)!
  return rowsOf(grids, prefix, (r, t) => values[r * shape[1] + t] === 1)
}

/** Branch k of each tree after its trunk, read back from the packed batch; -1 is the trunk alone. */
const unpacked = (packs: readonly PackedBatch[], K: number, k: number): Sequence[] => {
  const found: Sequence[] = []
  for (const { ids, groups, segments, positions, targets } of packs) {
    const aims = Array.from(targets.index, (index, m) => ({ index, label: targets.label[m], of: targets.sequence[m] }))
    for (const g of new Set(Array.from(groups))) {
      const tokens = Array.from(ids, (_, n) => n).filter(
        (n) => groups[n] === g && (segments[n] === 0 || segments[n] === k + 1),
      )
      expect(tokens.map((n) => positions[n])).toEqual(tokens.map((_, t) => t))
      const own = aims.filter(({ index, of }) => tokens.includes(index) && (K === 0 || of % K === k))
      const row = tokens.map(() => false)
      for (const { index, label } of own) {
        const at = tokens.indexOf(index) + 1
        expect(ids[tokens[at]]).toBe(label)
        row[at] = true
      }
      found[K ? Math.floor(own[0].of / K) : own[0].of] = { ids: tokens.map((n) => ids[n]), targets: row }
    }
  }
  return found
}

const encoder = (await loadTokenizerFolder(fixture('trl/model')))!
const vocabulary = { vocabulary: encoder.size, encoder }
const runs = await trlRuns()

/** The micro-batches of a run, made by attune from its rows. */
const microBatches = async <K extends 'sft' | 'ranking' | 'unpaired', E extends { truncated: boolean }>(
  name: string,
  as: K,
  rule: ExampleRule<never, E>['example'],
  collate: (micros: E[][]) => MicroBatch[],
) => {
  const { data, optimizer } = runs.find((run) => run.name === name)!
  const settings = sftSchema.parse({ model: '-', output: '-', data: [fixture(`trl/data/${data}`)], shuffle: false })
  const rows = await openDataset(as, settings)
  const examples = makeExamples(
    rows,
    settings,
    { ...vocabulary, eosIds: new Set() },
    {
      example: rule as never,
      ids: () => [],
      sequences: () => [],
      method: 'sft',
    },
  )
  const all: MicroBatch[][] = []
  for (let step = 0, position = 0; step < optimizer.steps; step++) {
    const taken = await examples.train.take(position, optimizer.batch * optimizer.accumulation)
    position = taken.position
    const micros = Array.from({ length: optimizer.accumulation }, (_, i) =>
      (taken.examples as E[]).slice(i * optimizer.batch, (i + 1) * optimizer.batch),
    )
    all.push(collate(micros))
  }
  await rows.close()
  return all.flatMap((micros, step) => micros.map((batch, i) => ({ batch, prefix: `${step + 1}.${i}.` })))
}

const limits = { maxLength: 512 }
const nothing = () => {}

it.each([
  ['sft-text', 512],
  ['sft-completion', 512],
  ['sft-truncated', 48],
])('%s: token ids and targets of every batch equal TRL', async (name, maxLength) => {
  const { grids } = await golden(name)
  const options = { assistantOnly: false, completionOnly: true }
  const example = (row: never) => textExample(encoder, row, { maxLength }, options, nothing)
  for (const { batch, prefix } of await microBatches(name, 'sft', example, textBatches))
    expect(unpacked(batch.packs, 0, -1)).toEqual(byLabels(grids, prefix))
})

const pairs = (name: string) =>
  microBatches(
    name,
    'ranking',
    (row) => {
      const example = rankedExample(encoder, row, limits, nothing)
      return typeof example === 'string' ? example : bestFirst(example)
    },
    (micros) => rankedBatches(micros, undefined, { prompts: false }),
  )

it.each(['dpo-sigmoid', 'dpo-sigmoid-accum'])('%s: token ids and masks of every batch equal TRL', async (name) => {
  const { grids } = await golden(name)
  for (const { batch, prefix } of await pairs(name)) {
    const both = [0, 1].flatMap((k) => unpacked(batch.packs, 2, k))
    expect(both).toEqual(byMask(grids, prefix))
  }
})

it('cpo-sigmoid: token ids and labels of every batch equal TRL', async () => {
  const { grids } = await golden('cpo-sigmoid')
  for (const { batch, prefix } of await pairs('cpo-sigmoid'))
    for (const [k, side] of ['chosen_', 'rejected_'].entries())
      expect(unpacked(batch.packs, 2, k)).toEqual(byLabels(grids, prefix + side))
})

it('kto: every batch equals TRL, with the completions that the KL is estimated from', async () => {
  const { grids } = await golden('kto')
  const example = (row: never) => unpairedExample(encoder, row, limits, nothing)
  const micros = await microBatches('kto', 'unpaired', example, (micros) => {
    const trees = micros.map((micro) => unpairedTrees(micro, { rotated: true, maxLength: 512 }))
    return unpairedBatches(
      micros,
      trees,
      micros.map((micro) => micro.map(() => [0, 0])),
    )
  })
  for (const { batch, prefix } of micros) {
    expect(unpacked(batch.packs, 2, 0)).toEqual(byMask(grids, prefix))
    expect(unpacked(batch.packs, 2, 1)).toEqual(byMask(grids, `${prefix}KL_`))
    expect([...batch.arrays.labels.values].map(Number)).toEqual(grids.get(`${prefix}label`)!.values)
  }
})

/** Splits a packed row into its texts. */
const texts = (grids: Map<string, Grid>, step: number): TextExample[] => {
  const { values } = grids.get(`${step}.0.input_ids`)!
  const starts = grids.get(`${step}.0.cu_seq_lens_q`)!.values
  return starts.slice(1).map((end, i) => {
    const ids = values.slice(starts[i], end)
    return { ids, targets: ids.map(() => 1), truncated: false }
  })
}

it('sft-packing: training on texts packed by TRL has its metrics and weights', async () => {
  const { grids, steps } = await golden('sft-packing')
  const run = runs.find(({ name }) => name === 'sft-packing')!
  const { learning_rate: learningRate, max_grad_norm: maxGradNorm } = run.optimizer
  const settings = sftSchema.parse({ model: '-', output: '-', data: ['-'], threads: 1 })
  const policy = await openPolicy(settings, { dir: fixture('trl/model') })
  const events = train({
    trainer: { ...policy, loss: sftObjective('nll'), head: {} },
    ...{ maxGradNorm, seed: 0, evalEvery: 1, bestMetric: 'eval_loss', saveEvery: steps },
    progress: beginning,
    totalSteps: steps,
    rowsPerEpoch: 8,
    learningRate: schedule('linear', { learningRate, warmupSteps: 0, totalSteps: steps }),
    next: async (position) => {
      const examples = texts(grids, position + 1)
      const tokens = examples.reduce((n, { ids }) => n + ids.length, 0)
      return { batches: textBatches([examples]), rows: [], position: position + 1, tokens }
    },
    save: async () => '',
    signal: new AbortController().signal,
  })
  for await (const event of events) {
    if (event.event !== 'step') continue
    for (const [name, value] of Object.entries(run.steps[event.step - 1]))
      expect(Math.abs((event as never as Record<string, number>)[name] - value), name).toBeLessThan(
        1e-4 * Math.max(0.1, Math.abs(value)),
      )
  }
  for (const [name, { norm, first }] of Object.entries(run.final)) {
    const values = await policy.backend.read(policy.model.params.get(name)!)
    expect(Math.abs(Math.hypot(...values) - norm), name).toBeLessThan(1e-5 * norm)
    expect(largestDifference(values.slice(0, first.length), first), name).toBeLessThan(1e-5)
  }
  await policy.close()
})
