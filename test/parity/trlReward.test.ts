/** Replays runs of TRL 1.16's RewardTrainer with `attune reward`: loss, gradient norm and metrics of every step, and the final weights. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import { reward } from '../../src/recipes/reward.ts'
import { loadTokenizerFolder } from '../../src/text/tokenizer.node.ts'
import type { StepEvent } from '../../src/train/loop.ts'
import { fileSource } from '../../src/util/files.node.ts'
import { fixture, largestDifference } from '../support/golden.ts'
import type { Summary, TrlRun } from '../support/trl.ts'

type RewardRun = Omit<TrlRun, 'asked' | 'lora'> & { asked: { center_rewards_coefficient?: number } }

const runs: RewardRun[] = JSON.parse(gunzipSync(await readFile(fixture('trl/reward.json.gz'))).toString())

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-trl-reward-'))
})
afterAll(() => rm(root, { recursive: true }))

/** Rows of ids whose responses lack the end-of-text token. TRL pads with that token, and reads the score one token before. */
const endless = async (data: string): Promise<string> => {
  const tokenizer = (await loadTokenizerFolder(fixture('trl/model')))!
  const lines = (await readFile(data, 'utf8')).trim().split('\n')
  const rows = lines.map((line) => {
    const { prompt, chosen, rejected } = JSON.parse(line)
    const whole = (response: string) => tokenizer.encode(prompt + response, { specialTokens: true }).ids
    const ids = tokenizer.encode(prompt, { specialTokens: true }).ids
    const [better, worse] = [whole(chosen), whole(rejected)].map((all) => all.slice(ids.length))
    return JSON.stringify({ prompt_ids: ids, chosen_ids: better, rejected_ids: worse })
  })
  const path = join(root, 'endless.jsonl')
  await writeFile(path, rows.join('\n'))
  return path
}

const replay = async (run: RewardRun, output: string) => {
  const { optimizer, asked } = run
  const file = fixture(`trl/data/${run.data}`)
  const config = reward.schema.parse({
    model: fixture('trl/model'),
    head: fixture('trl/reward_head.safetensors'),
    data: [run.name === 'reward-pad-eos' ? await endless(file) : file],
    output,
    centerRewards: asked.center_rewards_coefficient,
    shuffle: false,
    batchSize: optimizer.batch,
    gradAccum: optimizer.accumulation,
    learningRate: optimizer.learning_rate,
    schedule: optimizer.schedule,
    weightDecay: optimizer.weight_decay,
    maxGradNorm: optimizer.max_grad_norm,
    maxSteps: optimizer.steps,
    threads: 1,
  })
  const steps: StepEvent[] = []
  for await (const event of reward.run(config)) if (event.event === 'step') steps.push(event)
  return steps
}

const expectSummary = (values: Float32Array, { norm, sum, first }: Summary, slack: number, name: string) => {
  expect(Math.abs(Math.hypot(...values) - norm), `norm of ${name}`).toBeLessThanOrEqual(1e-5 * norm + slack)
  const total = values.reduce((a, b) => a + b, 0)
  expect(Math.abs(total - sum), `sum of ${name}`).toBeLessThanOrEqual(1e-4 * norm + slack)
  expect(largestDifference(values.slice(0, first.length), first), name).toBeLessThanOrEqual(slack)
}

it.each(runs)('$name: every step and the final weights equal TRL', async (run) => {
  const output = join(root, run.name)
  const steps = await replay(run, output)
  expect(steps).toHaveLength(run.optimizer.steps)
  run.steps.forEach((expected, i) => {
    for (const [name, value] of Object.entries(expected)) {
      // These rows lack their end-of-text tokens
      if (name === 'num_tokens' && run.name === 'reward-pad-eos') continue
      const relative = name === 'grad_norm' ? Math.max(1e-4, 5 * run.tolerance.grad_norm) : 1e-4
      const difference = Math.abs((steps[i][name] as number) - value)
      expect(difference, `step ${i + 1}: ${name} ${steps[i][name]} ${value}`).toBeLessThanOrEqual(
        relative * Math.abs(value) + 3e-5,
      )
    }
  })
  const { tensors } = await openSafetensors(await fileSource(join(output, 'model/model.safetensors')))
  expect([...tensors.keys()].sort()).toEqual(Object.keys(run.final).sort())
  const slack = Math.max(1e-5, 3 * run.tolerance.final)
  for (const [name, summary] of Object.entries(run.final))
    expectSummary(await tensors.get(name)!.floats(), summary, slack, name)
  if (run.name !== 'reward') return
  const golden = await openSafetensors(await fileSource(fixture('trl/final/reward.safetensors')))
  for (const [name, expected] of golden.tensors)
    expect(largestDifference(await tensors.get(name)!.floats(), await expected.floats()), name).toBeLessThan(3e-5)
})
