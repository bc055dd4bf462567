/** Checkpoints of runs as models. */
import { truncateSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type OpenedModel, openModel } from '../../src/passes/open.node.ts'
import { sft } from '../../src/recipes/sft.ts'
import { isCheckpoint, openCheckpointModel } from '../../src/recipes/trainer/checkpointModel.ts'
import { largestDifference } from '../support/golden.ts'
import { ids, testFolder, tiny, train } from '../support/training.ts'

const { at, rows } = testFolder()
const texts = Array.from({ length: 8 }, (_, i) => ({ input_ids: ids(i, 8) }))

/** The values of every parameter, by name; the model is closed. */
const valuesOf = async ({ model, close }: OpenedModel) => {
  const values = new Map<string, Float32Array>()
  for (const [name, handle] of model.params) values.set(name, Float32Array.from(await model.backend.read(handle)))
  await close()
  return values
}

const apart = (a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>) => {
  expect([...a.keys()].sort()).toEqual([...b.keys()].sort())
  return Math.max(...[...a].map(([name, values]) => largestDifference(values, b.get(name)!)))
}

it.each([{ loraR: undefined }, { loraR: 4 }])(
  'the last checkpoint is the model that the run made, an earlier one is not: %o',
  async (lora) => {
    const output = at(`run-${lora.loraR}`)
    const settings = {
      ...lora,
      data: await rows('texts', texts),
      maxSteps: 2,
      saveEvery: 1,
      keep: 2,
      learningRate: 0.01,
    }
    await train(sft, { ...settings, saveDtype: 'float32', output })
    const [first, last] = [1, 2].map((step) => join(output, 'checkpoints', `step-${step}`))
    const engine = { threads: 1, inProcess: true } as const
    const made = await valuesOf(await openModel({ model: output, ...engine }))
    expect(apart(await valuesOf(await openCheckpointModel(last, engine)), made)).toBe(0)
    expect(apart(await valuesOf(await openCheckpointModel(first, engine)), made)).toBeGreaterThan(1e-3)
    expect([await isCheckpoint(last), await isCheckpoint(output), await isCheckpoint(tiny)]).toEqual([
      true,
      false,
      false,
    ])

    // A torn checkpoint is named and not opened
    await cp(last, join(output, 'checkpoints', 'step-3'), { recursive: true })
    truncateSync(join(output, 'checkpoints', 'step-3', 'arena0.params'), 40)
    await expect(openCheckpointModel(join(output, 'checkpoints', 'step-3'), engine)).rejects.toMatchObject({
      code: 'bad-checkpoint',
    })
  },
)
