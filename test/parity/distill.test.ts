/**
 * Distillation held against TRL's GKDTrainer and a replay in float64 (bench/distillGolden.py): the objective with its gradient, and
 * whole runs on the completions of fixed rows, step by step to the last weight.
 */

import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import { divergences } from '../../src/objectives/distillation.ts'
import { distill } from '../../src/recipes/distill.ts'
import { evaluate } from '../../src/runtime/interpreter.ts'
import { grad } from '../../src/tensor/grad.ts'
import { constant, type Tensor } from '../../src/tensor/tensor.ts'
import type { StepEvent } from '../../src/train/loop.ts'
import { fileSource } from '../../src/util/files.node.ts'
import { fixture, largestDifference } from '../support/golden.ts'

type Case = {
  beta: number
  temperature: number
  student: number[][]
  teacher: number[][]
  divergence: number[]
  gradient: number[][]
}
type Run = {
  name: string
  beta: number
  lora: boolean
  steps: { step: number; loss: number; grad_norm: number; learning_rate: number }[]
  replay: number[]
  /** Float32 numbers as base64, by the name of the weight. */
  final: Record<string, string>
}
const golden: { objective: Case[]; training: { batch: number; learningRate: number; rows: object[]; runs: Run[] } } =
  JSON.parse(gunzipSync(readFileSync(fixture('maths/distill.json.gz'))).toString())

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-distill-'))
  vi.stubEnv('ATTUNE_CACHE', join(root, 'cache'))
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true })
})

const values = (t: Tensor) => [...evaluate([t], {})[0].data]
const matrix = (rows: number[][]) => constant(rows.flat(), [rows.length, rows[0].length])

describe("the objective equals TRL's generalized_jsd_loss", () => {
  it.each(golden.objective)('beta $beta, temperature $temperature', (of) => {
    const student = matrix(of.student)
    const { divergence } = divergences(student.div(of.temperature), matrix(of.teacher).div(of.temperature), of.beta)
    expect(largestDifference(values(divergence), of.divergence)).toBeLessThan(1e-12)
    const slope = values(grad(divergence.sum(), [student])[0])
    expect(largestDifference(slope, of.gradient.flat())).toBeLessThan(1e-12)
  })
})

describe("a run of TRL's GKDTrainer is reproduced in every step and the final weights", () => {
  const { batch, learningRate, rows, runs } = golden.training
  it.each(runs)('$name', async (run) => {
    const data = join(root, 'rows.jsonl')
    await writeFile(data, rows.map((row) => JSON.stringify(row)).join('\n'))
    const output = join(root, run.name)
    const settings = {
      ...{ model: fixture('trl/model'), teacher: fixture('models/stories260K'), data: [data], output, shuffle: false },
      ...{ lmbda: 0, beta: run.beta, batchSize: batch, learningRate, maxSteps: run.steps.length, threads: 1 },
      ...(run.lora && { adapter: fixture('trl/lora-start') }),
    }
    const steps: StepEvent[] = []
    for await (const event of distill.run(distill.schema.parse(settings))) if (event.event === 'step') steps.push(event)
    expect(steps).toHaveLength(run.steps.length)
    for (const [i, expected] of run.steps.entries()) {
      const { loss, grad_norm, learning_rate } = steps[i]
      expect(Math.abs(loss - expected.loss), `loss of step ${i + 1}`).toBeLessThan(1e-4)
      expect(Math.abs(loss - run.replay[i]), `loss of step ${i + 1} of the replay`).toBeLessThan(1e-4)
      expect(Math.abs(grad_norm / expected.grad_norm - 1), `gradient of step ${i + 1}`).toBeLessThan(1e-4)
      expect(learning_rate).toBeCloseTo(expected.learning_rate, 10)
    }
    const file = join(output, run.lora ? 'adapter/adapter_model.safetensors' : 'model/model.safetensors')
    const { tensors } = await openSafetensors(await fileSource(file))
    const own = new Map([...tensors].map(([name, tensor]) => [name.replace('base_model.model.', ''), tensor]))
    expect([...own.keys()].sort()).toEqual(Object.keys(run.final).sort())
    for (const [name, text] of Object.entries(run.final)) {
      const expected = new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer)
      // An Adam step for a gradient near 0 can have either sign
      expect(largestDifference(await own.get(name)!.floats(), expected), name).toBeLessThan(1e-4)
    }
  })
})
