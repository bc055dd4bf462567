/** --push-to-hub against a hub server on this machine, with a recipe that trains nothing. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { collect } from '../../test/support/collect.ts'
import { type HubServer, startHub } from '../../test/support/hubServer.ts'
import { hubTarget } from '../checkpoint/hubUpload.node.ts'
import { recipe, type TrainEvent } from '../recipes/trainer/recipe.ts'
import { readRun } from '../runs/find.node.ts'
import { pushRun } from './push.ts'

let root: string
let hub: HubServer
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-push-'))
  hub = await startHub()
  vi.stubEnv('HF_ENDPOINT', hub.url)
  vi.stubEnv('HF_HOME', root)
  vi.stubEnv('HF_TOKEN', 'hf_secret')
  for (const name of ['HF_TOKEN_PATH', 'HF_HUB_OFFLINE']) vi.stubEnv(name, undefined)
})
afterEach(async () => {
  hub.close()
  vi.unstubAllEnvs()
  await rm(root, { recursive: true })
})

const cached = '/cache/hub/models--team--base/snapshots/abc/model.safetensors'
const pairs = '/home/me/secret place/pairs.jsonl'
const schema = z.looseObject({ output: z.string(), resume: z.boolean() })
let began = 0
/** Three steps, an evaluation after the second, and a result of two files. */
const made = recipe({ name: 'dpo', schema: async () => schema }, schema, async function* (_, { run, signal }) {
  began++
  const engine = { provider: 'cpu', threads: 1, version: '0' }
  const files = {
    model_files: [{ path: cached, absolute: cached, size: 1, sha256: 'a' }],
    data_files: [{ path: pairs, absolute: pairs, size: 1, sha256: 'b' }],
  }
  yield {
    event: 'start',
    step: 0,
    total_steps: 3,
    rows: 1,
    parameters: 1,
    trainable: 1,
    plan: 'fast',
    engine,
    ...files,
  }
  const metrics = { grad_norm: 1, learning_rate: 1, epoch: 1, num_tokens: 1, seconds: 1.5 }
  for (const step of [1, 2, 3]) {
    yield { event: 'step', step, total_steps: 3, loss: 1 / step, ...metrics }
    if (step === 2) yield { event: 'eval', step, eval_loss: 0.75 }
  }
  if (signal.aborted) return yield { event: 'end', steps: 3, output: run.dir, stopped: 'interrupted' }
  await mkdir(join(run.dir, 'adapter'))
  await writeFile(join(run.dir, 'adapter', 'adapter_config.json'), '{"r":8}')
  await writeFile(join(run.dir, 'adapter', 'adapter_model.safetensors'), Buffer.alloc(100_000, 7))
  yield { event: 'end', steps: 3, output: join(run.dir, 'adapter'), stopped: 'done', best_step: 2 }
})

const config = (more: object = {}) => ({
  output: join(root, 'r'),
  resume: false,
  model: 'team/base',
  data: ['/home/me/secret place/pairs.jsonl'],
  learningRate: 1e-5,
  beta: 0.1,
  loraR: 8,
  loraTarget: ['all-linear'],
  threads: 2,
  column: {},
  ...more,
})
const run = (more: object = {}, signal?: AbortSignal) => made.run(config(more), { signal })
const push = { pushToHub: 'me/thing' }
const cardOf = () => {
  const text = hub.repos.get('me/thing')!.files.get('README.md')!.toString()
  const [, head, body] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(text)!
  return { head: parse(head), body, text }
}

describe('--push-to-hub', () => {
  it('uploads the result with a model card that says how it was made and nothing about this machine', async () => {
    const events = await collect(run(push))
    expect(events.filter(({ event }) => event === 'progress').at(-1)).toMatchObject({ phase: 'upload' })
    expect(events.at(-1)).toMatchObject({ event: 'end', stopped: 'done', hub: `${hub.url}/me/thing` })
    const { files, commits, visibility } = hub.repos.get('me/thing')!
    expect([...files.keys()].sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors'])
    expect([visibility, commits]).toEqual(['private', ['attune dpo: 3 steps']])
    const { head, body, text } = cardOf()
    expect(head).toMatchObject({ library_name: 'peft', base_model: 'team/base', tags: ['attune', 'dpo', 'lora'] })
    expect(body).toMatch(/\| learning-rate \| 0.00001 \|[\s\S]*\| lora-target \| \["all-linear"\] \|/)
    expect(body).toContain('- `pairs.jsonl`')
    expect(body).toContain('| loss | 0.33333 |')
    expect(text).not.toMatch(/secret|threads|column|seconds|eval_loss/)
  })

  it('the card has the metrics of the best step where the result is of that step', async () => {
    await collect(run({ ...push, patience: 1 }))
    expect(cardOf().text).toContain('The weights are those of step 2, the best on held-out rows.')
    expect(cardOf().body).toContain('| metric | at step 2 |')
    expect(cardOf().body).toMatch(/\| loss \| 0.5 \|[\s\S]*\| eval_loss \| 0.75 \|/)
  })

  it('checks the token before anything is opened, and access to the repository before training', async () => {
    vi.stubEnv('HF_TOKEN', undefined)
    const before = began
    await expect(collect(run(push))).rejects.toMatchObject({ code: 'bad-token', exitCode: 2 })
    expect([began, hub.seen]).toEqual([before, []])
    vi.stubEnv('HF_TOKEN', 'hf_other')
    const seen: TrainEvent[] = []
    const refused = (async () => {
      for await (const event of run(push)) seen.push(event)
    })()
    await expect(refused).rejects.toMatchObject({ code: 'hub-access', exitCode: 2 })
    expect(seen).toEqual([])
    await expect(readRun(join(root, 'r'))).rejects.toMatchObject({ code: 'no-run' })
  })

  it('leaves a finished run where the upload fails, and the command in the message uploads it later', async () => {
    hub.refuse = (what) => (what.includes('/commit/') ? 400 : undefined)
    const seen: TrainEvent[] = []
    const failing = (async () => {
      for await (const event of run(push)) seen.push(event)
    })()
    const error = await failing.catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'not-pushed', exitCode: 1 })
    const dir = join(root, 'r')
    expect(error.message).toBe(
      `the upload to me/thing failed (me/thing: the hub refuses (400: refused by the test)); the result is safe in ${dir}/adapter, and this uploads it: attune runs push ${dir} --to me/thing`,
    )
    expect(seen.at(-1)).toMatchObject({ event: 'end', stopped: 'done' })
    expect(await readRun(dir)).toMatchObject({ state: 'done', result: { kind: 'adapter' } })
    hub.refuse = () => undefined
    await collect(pushRun(await hubTarget('me/thing', '--to'), dir))
    expect(hub.repos.get('me/thing')!.files.get('adapter_config.json')!.toString()).toBe('{"r":8}')
  })

  it('does not upload an interrupted run; a run whose upload was interrupted is done', async () => {
    const events = await collect(run(push, AbortSignal.abort()))
    expect(events.at(-1)).toMatchObject({ event: 'end', stopped: 'interrupted' })
    expect(hub.repos.get('me/thing')!.commits).toEqual([])
    const stop = new AbortController()
    hub.refuse = (what) => void (what.includes('/commit/') && stop.abort())
    const seen = await collect(run({ ...push, output: join(root, 'other') }, stop.signal))
    expect(seen.slice(-2)).toMatchObject([{ code: 'not-pushed' }, { event: 'end', stopped: 'interrupted' }])
    expect(await readRun(join(root, 'other'))).toMatchObject({ state: 'done' })
  })
})

it('--report-to tensorboard writes the metrics of the log into tb/; without it there is no such folder', async () => {
  await collect(run({ reportTo: 'tensorboard' }))
  const [name] = await readdir(join(root, 'r', 'tb'))
  const bytes = await readFile(join(root, 'r', 'tb', name), 'latin1')
  for (const tag of ['train/loss', 'train/learning_rate', 'eval/loss']) expect(bytes).toContain(tag)
  await collect(run({ output: join(root, 'none') }))
  expect(await readdir(join(root, 'none'))).not.toContain('tb')
})
