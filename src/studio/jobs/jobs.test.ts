/** Jobs from requests: forms of all methods, refusals, the queue, stop, resume, restart, and what becomes of their output. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openStarting } from '../../../test/support/startingJobs.ts'
import { methodKeys, methods } from '../../recipes/methods.ts'
import { fieldsOf } from '../../recipes/settings/fields.ts'
import type { FormField, Problem } from './api.ts'

let studio: Awaited<ReturnType<typeof openStarting>>
beforeEach(async () => {
  studio = await openStarting()
  studio.write('rows.jsonl', [{ prompt: 'a', chosen: 'b', rejected: 'c' }])
})
afterEach(async () => {
  await studio.close()
  expect(studio.errors).toEqual([])
})

const dpo = (settings: object = {}) => ({
  method: 'dpo',
  settings: { model: 'owner/base', data: ['rows.jsonl'], ...settings },
})
const train = (settings: object = {}) => ({ kind: 'train', ...dpo(settings) })
const check = async (settings: object) => (await studio.send('POST', '/jobs/check', dpo(settings))).body
const problemsOf = async (settings: object): Promise<Record<string, string>> =>
  Object.fromEntries(((await check(settings)).problems as Problem[]).map(({ key, message }) => [key, message]))

describe('forms', () => {
  it('have every setting of every method, but for those with buttons of their own', async () => {
    const { body: briefs } = await studio.send('GET', '/methods')
    expect(briefs.map(({ name }: { name: string }) => name)).toEqual(methodKeys.map((key) => methods[key].name))
    for (const key of methodKeys) {
      const { body } = await studio.send('GET', `/methods/${methods[key].name}`)
      const keys = body.fields.map((field: FormField) => field.key)
      const expected = fieldsOf(await methods[key].schema()).map((field) => field.key)
      expect([...keys, 'resume', 'findLr', 'logEvery'].sort()).toEqual(expected.sort())
      for (const { flag, description, group, choices, kind } of body.fields as FormField[]) {
        expect(flag).toMatch(/^--[a-z][a-z0-9-]*$/)
        expect(description.length).toBeGreaterThan(5)
        expect(group).toMatch(/^[A-Z]/)
        expect(choices.length > 0).toBe(kind === 'choice')
      }
    }
  })

  it('tell kind, bounds, default and whether it is among the first', async () => {
    const { body } = await studio.send('GET', '/methods/dpo')
    const field = (key: string) => body.fields.find((one: FormField) => one.key === key)
    expect(field('beta')).toMatchObject({ kind: 'number', least: 0, fallback: 0.1, group: 'Method', first: false })
    expect(field('model')).toMatchObject({ kind: 'text', required: true, first: true, value: 'MODEL' })
    expect(field('data')).toMatchObject({ kind: 'list', of: 'text', required: true })
    expect(field('loraR')).toMatchObject({ whole: true, first: true })
    expect(field('learningRate').fallback).toBe('5e-6; with LoRA 5e-5')
    expect(field('device').choices).toEqual(['auto', 'cpu', 'webgpu', 'cuda'])
    expect(field('shuffle')).toMatchObject({ kind: 'boolean', fallback: true })
  })

  it('are not there for other names', async () => {
    expect((await studio.send('GET', '/methods/rm')).status).toBe(404)
    expect((await studio.send('GET', '/methods/constructor')).status).toBe(404)
  })
})

describe('a check', () => {
  it('gives the command line that stands for the form', async () => {
    const { command, problems, output } = await check({
      ...{
        beta: '0.2',
        epochs: 2,
        shuffle: false,
        chat: true,
        loraTarget: ['q_proj', 'v_proj'],
        column: { chosen: 'good one' },
      },
      ...{ data: ['rows.jsonl', 'rows.jsonl'], simpoGamma: -1, evalSplit: '', reportTo: null },
    })
    expect(problems).toEqual([])
    expect(output).toBe('attune-runs/dpo-1')
    expect(command).toBe(
      "attune dpo --beta 0.2 --simpo-gamma=-1 --model owner/base --data rows.jsonl --data rows.jsonl --column 'chosen=good one' --chat --no-shuffle --epochs 2 --lora-target q_proj,v_proj --output attune-runs/dpo-1",
    )
  })

  it('says of all settings at once what is wrong, in the words of the command line', async () => {
    expect(
      await problemsOf({
        beta: -1,
        epochs: 'two',
        device: 'gpu',
        model: '',
        loss: 'dpo',
        bta: 1,
        column: 'chosen',
        maxSteps: 1.5,
      }),
    ).toEqual({
      beta: '-1 is too small; it must be above 0',
      epochs: '"two" is not a number',
      device: expect.stringContaining('"gpu" is none of auto, cpu'),
      model: 'is required',
      bta: 'is no setting of dpo; did you mean beta?',
      column: expect.stringContaining('must be NAME=COLUMN'),
      maxSteps: expect.stringContaining('whole number'),
    })
  })

  it.each([
    ['data', ['../secret.jsonl'], 'outside the folder'],
    ['data', ['/etc/passwd'], 'outside the folder'],
    ['data', ['link/rows.jsonl'], 'outside the folder'],
    ['data', ['.attune/jobs'], 'is hidden'],
    ['data', ['missing.jsonl'], 'is not there'],
    ['data', ['a\0b.jsonl'], 'no path has'],
    ['evalData', ['rows.jsonl', '../x'], 'outside the folder'],
    ['output', '../elsewhere', 'outside the folder'],
    ['output', '/tmp/elsewhere', 'outside the folder'],
    ['output', 'link/run', 'outside the folder'],
    ['output', 'taken', 'is taken already'],
    ['model', '../model', 'outside the folder'],
    ['model', '/no/such/model', 'is not there'],
    ['model', 'http://169.254.169.254/', 'is an address'],
    ['adapter', '../adapter', 'outside the folder'],
  ])('refuses %s %j', async (key, value, message) => {
    symlinkSync('/tmp', join(studio.root, 'link'))
    mkdirSync(join(studio.root, 'taken/inside'), { recursive: true })
    expect((await problemsOf({ [key]: value }))[key]).toContain(message)
    expect((await studio.send('POST', '/jobs', train({ [key]: value }))).status).toBe(400)
    expect((await studio.send('GET', '/jobs')).body).toEqual([])
  })

  it('takes models by a hub id, by the name of a run and by an absolute path', async () => {
    mkdirSync(join(studio.root, 'attune-runs/dpo-1'), { recursive: true })
    for (const model of ['owner/name', 'gpt2', 'dpo-1', 'attune-runs/dpo-1', studio.root])
      expect(await problemsOf({ model, output: 'new' }), model).toEqual({})
  })

  it('refuses rewards that are code outside the folder', async () => {
    const settings = { model: 'owner/base', data: ['rows.jsonl'] }
    const of = async (reward: string) =>
      (await studio.send('POST', '/jobs/check', { method: 'grpo', settings: { ...settings, reward: [reward] } })).body
        .problems
    expect(await of('../rewards.ts')).toEqual([
      { key: 'reward', message: expect.stringContaining('outside the folder') },
    ])
    expect(await of('mine=/tmp/rewards.mjs')).toEqual([
      { key: 'reward', message: expect.stringContaining('outside the folder') },
    ])
    expect(await of('exact:answer')).toEqual([])
  })

  it('estimates time and memory, if asked', async () => {
    const { body } = await studio.send('POST', '/jobs/estimate', dpo())
    expect(body).toEqual({ time: 'about 65 seconds for 10 steps', memory: '2.0 of 8.0 GB', steps: 10 })
    expect(studio.ran()[0].slice(0, 3)).toEqual(['check', '--for', 'dpo'])
  })
})

describe('a job', () => {
  it('runs the command with its arguments as they are, and ends', async () => {
    const hostile = '$(touch owned); `touch owned` & | "\'\n--json'
    const { status, body } = await studio.send('POST', '/jobs', train({ column: { chosen: hostile }, like: null }))
    expect(status).toBe(201)
    const job = await studio.until(body.id, 'done')
    expect(job).toMatchObject({
      kind: 'train',
      title: 'dpo of owner/base',
      method: 'dpo',
      output: 'attune-runs/dpo-1',
      run: 'dpo-1',
      exitCode: 0,
      progress: { done: 3, total: 3, what: 'step' },
      can: { start: false, stop: false, resume: false, forget: true },
    })
    const [argv] = studio.ran()
    expect(argv[argv.indexOf('--column') + 1]).toBe(`chosen=${hostile}`)
    expect(argv.at(-1)).toBe('--json')
    expect(existsSync(join(studio.root, 'owned'))).toBe(false)
  })

  it('shows its last events and its words', async () => {
    const { body } = await studio.send('POST', '/jobs', train({ beta: 7 }))
    await studio.until(body.id, 'failed')
    const { body: details } = await studio.send('GET', `/jobs/${body.id}`)
    expect(details).toMatchObject({ exitCode: 1, problem: 'the loss is not finite at step 2' })
    expect(details.events.at(-1)).toEqual({ event: 'step', step: 3, total_steps: 3, loss: 1 / 3 })
    expect(details.stderr).toContain('some words')
    expect(details.can.resume).toBe(true)
  })

  it('is told live', async () => {
    const { body } = await studio.send('POST', '/jobs', train())
    await studio.until(body.id, 'done')
    const pulses = studio.events.filter(({ topic }) => topic === `job/${body.id}`)
    expect(pulses.at(-1)?.data).toMatchObject({ state: 'done', latest: { event: 'end' } })
    expect(studio.events.some(({ topic }) => topic === 'jobs')).toBe(true)
  })

  it('waits for the one before it, and does not if told so; stop ends it with a checkpoint, and it can go on', async () => {
    const ids: number[] = []
    for (let i = 0; i < 3; i++) ids.push((await studio.send('POST', '/jobs', train({ beta: 9 }))).body.id)
    await studio.until(ids[0], 'running')
    const states = async () =>
      (await studio.send('GET', '/jobs')).body.map(({ state }: { state: string }) => state).reverse()
    expect(await states()).toEqual(['running', 'waiting', 'waiting'])
    expect((await studio.send('GET', '/jobs')).body.map(({ output }: { output: string }) => output)).toEqual(
      [3, 2, 1].map((n) => `attune-runs/dpo-${n}`),
    )
    expect((await studio.send('DELETE', `/jobs/${ids[0]}`)).status).toBe(400)
    await studio.send('POST', `/jobs/${ids[2]}/start`)
    expect(await states()).toEqual(['running', 'waiting', 'running'])
    await studio.send('POST', `/jobs/${ids[1]}/stop`)
    for (const id of [ids[0], ids[2]]) {
      await untilStepped(id)
      expect((await studio.send('POST', `/jobs/${id}/stop`)).body.state).toBe('stopping')
    }
    expect((await studio.until(ids[0], 'stopped')).exitCode).toBe(130)
    await studio.until(ids[2], 'stopped')
    const { body: goesOn } = await studio.send('POST', `/jobs/${ids[0]}/resume`).catch(() => ({ body: {} }))
    expect(goesOn.error?.message ?? goesOn.command).toMatch(/run\.json|runs resume/)
    expect((await studio.send('DELETE', `/jobs/${ids[0]}`)).status).toBe(204)
    expect((await studio.send('GET', `/jobs/${ids[0]}`)).status).toBe(400)
  })

  const untilStepped = async (id: number) => {
    for (let tries = 0; tries < 200; tries++) {
      const { body } = await studio.send('GET', `/jobs/${id}`)
      if (body.progress) return
      await new Promise((done) => setTimeout(done, 20))
    }
  }

  it('outlives the studio, which finds it again', async () => {
    const { body } = await studio.send('POST', '/jobs', train({ beta: 9 }))
    await studio.until(body.id, 'running')
    await untilStepped(body.id)
    await studio.restart()
    expect((await studio.send('GET', `/jobs/${body.id}`)).body.state).toBe('running')
    await studio.send('POST', `/jobs/${body.id}/stop`)
    // Nobody saw its exit code; its last event says how it ended
    expect((await studio.until(body.id, 'stopped')).exitCode).toBeUndefined()
  })

  it('whose process is gone at the next start has ended, and what waited begins', async () => {
    const { body: first } = await studio.send('POST', '/jobs', train({ beta: 9 }))
    const { body: second } = await studio.send('POST', '/jobs', train())
    await studio.until(first.id, 'running')
    await untilStepped(first.id)
    await studio.restart(async () => {
      const path = join(studio.root, '.attune/jobs', String(first.id), 'job.json')
      const record = JSON.parse(readFileSync(path, 'utf8'))
      process.kill(record.pid, 'SIGKILL')
      await new Promise((done) => setTimeout(done, 100))
    })
    await studio.until(first.id, 'ended')
    await studio.until(second.id, 'done')
  })

  it('of another process with the same number is not taken for it', async () => {
    const { body } = await studio.send('POST', '/jobs', train())
    await studio.until(body.id, 'done')
    await studio.restart(async () => {
      const path = join(studio.root, '.attune/jobs', String(body.id), 'job.json')
      const record = JSON.parse(readFileSync(path, 'utf8'))
      writeFileSync(path, JSON.stringify({ ...record, state: 'running', pid: process.pid, began: '1' }))
    })
    await studio.until(body.id, 'done')
  })

  it('is not made of other commands, kinds or fields', async () => {
    for (const bad of [
      { ...train(), method: 'export' },
      { ...train(), method: '--help' },
      { kind: 'shell', argv: ['x'] },
      { ...train(), argv: ['x'] },
      { kind: 'resume', run: '../x' },
      { kind: 'generate', model: 'm', data: '../x', samples: 1, project: 'x' },
      { kind: 'generate', model: 'm', data: 'rows.jsonl', samples: 1000, project: 'x' },
    ])
      expect((await studio.send('POST', '/jobs', bad)).status, JSON.stringify(bad)).toBe(400)
    expect((await studio.send('GET', '/jobs')).body).toEqual([])
  })

  it('is for the owner alone', async () => {
    for (const role of ['annotate', 'adjudicate'] as const) {
      studio.as(role)
      for (const [method, path] of [
        ['GET', '/jobs'],
        ['POST', '/jobs'],
        ['POST', '/jobs/check'],
        ['GET', '/methods'],
        ['GET', '/methods/dpo'],
        ['POST', '/training-labels'],
        ['GET', '/training-choices'],
        ['GET', '/retests'],
        ['POST', '/retests'],
      ])
        expect((await studio.send(method, path, method === 'POST' ? {} : undefined)).status, path).toBe(403)
    }
  })
})

describe('tasks', () => {
  it('are made of the answers that a model writes', async () => {
    studio.write('prompts.jsonl', [{ prompt: 'one' }, { prompt: 'two' }])
    const { body } = await studio.send('POST', '/jobs', {
      ...{ kind: 'generate', model: 'owner/base', data: 'prompts.jsonl', samples: 3, project: 'Answers' },
      sampling: { temperature: 0.7 },
    })
    const job = await studio.until(body.id, 'done')
    expect(job.command).toContain('--num-return-sequences 3')
    const { body: page } = await studio.send('GET', `/projects/${job.project}/tasks`)
    expect(page.rows.map(({ prompt }: { prompt: string }) => prompt)).toEqual(['one', 'two'])
    const { body: task } = await studio.send('GET', `/tasks/${page.rows[0].id}?adjudicate=1`)
    expect(task.responses).toEqual([1, 2, 3].map((n) => ({ text: `${n} of owner/base`, source: 'owner/base' })))
  })

  const project = async () => {
    const { body } = await studio.send('POST', '/projects', {
      requestId: 'p',
      name: 'Pairs',
      settings: { mode: 'pair', order: 'informative' },
    })
    const rows = ['one', 'two'].map((prompt) => ({
      prompt,
      responses: [{ text: 'long answer' }, { text: `${prompt}!` }],
    }))
    await studio.send('POST', `/projects/${body.id}/import`, { requestId: 'i', rows })
    return body.id as number
  }

  it('get the rewards of a reward model, and the verdicts of a judge', async () => {
    const id = await project()
    const { body: score } = await studio.send('POST', '/jobs', { kind: 'score', model: 'owner/reward', project: id })
    await studio.until(score.id, 'done')
    const { body: judge } = await studio.send('POST', '/jobs', { kind: 'judge', model: 'owner/judge', project: id })
    await studio.until(judge.id, 'done')
    const { body: page } = await studio.send('GET', `/projects/${id}/tasks`)
    const { body: task } = await studio.send('GET', `/tasks/${page.rows[0].id}`)
    expect(task.scores).toEqual({ 'owner/reward': [11, 4] })
    expect(task.prediction).toMatchObject({ by: 'owner/judge', preference: 1 })
  })
})

describe('labels', () => {
  /** A project of pairs whose tasks are labelled: the second response is the better. */
  const labelled = async (mode: 'pair' | 'good' = 'pair', tasks = 12): Promise<number> => {
    const { body } = await studio.send('POST', '/projects', { requestId: 'p', name: 'My Labels!', settings: { mode } })
    const responses = (mode === 'pair' ? ['bad', 'fine'] : ['fine']).map((text) => ({ text }))
    const rows = Array.from({ length: tasks }, (_, i) => ({ prompt: `question ${i}`, responses }))
    await studio.send('POST', `/projects/${body.id}/import`, { requestId: 'i', rows })
    await vote(body.id, mode === 'pair' ? { ranks: [2, 1], preference: 1 } : { good: true })
    return body.id
  }
  const vote = async (project: number, value: object) => {
    for (;;) {
      const { body: task } = await studio.send('GET', `/projects/${project}/next`)
      if (task.done) return
      const { status } = await studio.send('POST', `/tasks/${task.id}/votes`, {
        ...{ requestId: `v${task.id}`, version: task.version, value, shown: task.shown, seconds: 1, touched: true },
      })
      expect(status).toBe(200)
    }
  }
  const rowsOf = (path: string) =>
    readFileSync(join(studio.root, path), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  const request = (project: number, method: string, heldOut: number) => ({
    project,
    method,
    consensus: 'majority',
    heldOut,
  })

  it('become a file to train on and one of held-out prompts, the same for the same labels', async () => {
    const project = await labelled()
    const { body: told } = await studio.send('POST', '/training-labels', {
      ...request(project, 'dpo', 0.25),
      write: false,
    })
    expect(existsSync(join(studio.root, told.data))).toBe(false)
    const { body } = await studio.send('POST', '/training-labels', request(project, 'dpo', 0.25))
    expect(body).toEqual(told)
    expect(body.data).toMatch(/^attune-data\/my-labels-dpo-[0-9a-f]{10}\.jsonl$/)
    expect(body.rows + body.evalRows).toBe(12)
    expect(body).toMatchObject({ evalRows: 3, undecided: 0 })
    expect(body.prompts).toBe(12)
    const [training, held] = [rowsOf(body.data), rowsOf(body.evalData)]
    expect(training[0]).toMatchObject({ responses: ['bad', 'fine'], ranks: [2, 1] })
    const prompts = new Set(training.map(({ prompt }) => prompt))
    expect(held.every(({ prompt }) => !prompts.has(prompt))).toBe(true)
    expect((await studio.send('POST', '/training-labels', request(project, 'dpo', 0.25))).body).toEqual(body)
    expect(await problemsOf({ data: [body.data], evalData: [body.evalData] })).toEqual({})
  })

  it('of good and bad answers train kto, and nothing else', async () => {
    const project = await labelled('good', 4)
    const { body } = await studio.send('POST', '/training-labels', request(project, 'kto', 0))
    expect(rowsOf(body.data)[0]).toMatchObject({ completion: 'fine', label: true })
    expect(body.evalData).toBeUndefined()
    const refused = await studio.send('POST', '/training-labels', request(project, 'dpo', 0))
    expect(refused.body.error.message).toBe('labels of the mode good train kto, not dpo')
  })

  it('that are not there train nothing', async () => {
    const { body } = await studio.send('POST', '/projects', {
      requestId: 'p',
      name: 'Empty',
      settings: { mode: 'pair' },
    })
    const { body: refused } = await studio.send('POST', '/training-labels', request(body.id, 'dpo', 0.2))
    expect(refused.error.message).toBe('the project Empty has no label that dpo can learn from yet')
  })

  /** A run folder as a training leaves it. */
  const trainedRun = (config: object) => {
    const dir = join(studio.root, 'attune-runs/dpo-1')
    mkdirSync(join(dir, 'model'), { recursive: true })
    const info = {
      format: 1,
      versions: {},
      machine: {},
      resumes: [],
      method: 'dpo',
      created: '2026-01-01T00:00:00Z',
      command: ['attune', 'dpo'],
      config,
    }
    writeFileSync(join(dir, 'run.json'), JSON.stringify(info))
    writeFileSync(join(dir, 'model/config.json'), '{}')
  }

  it('say in a blind re-test whether the training helped', async () => {
    studio.write(
      'held.jsonl',
      Array.from({ length: 20 }, (_, i) => ({ prompt: `held ${i}`, chosen: 'a', rejected: 'b' })),
    )
    trainedRun({ model: 'owner/base', evalData: ['held.jsonl'] })
    const { body, status } = await studio.send('POST', '/retests', { run: 'dpo-1', prompts: 10 })
    expect(status).toBe(201)
    expect(body).toMatchObject({ run: 'dpo-1', base: 'owner/base', state: 'writing' })
    for (const { id } of body.jobs) await studio.until(id, 'done')
    expect(studio.ran().map((argv) => argv[argv.indexOf('--model') + 1])).toEqual(['owner/base', 'attune-runs/dpo-1'])
    const { body: ready } = await studio.send('GET', `/retests/${body.id}`)
    expect(ready).toMatchObject({
      state: 'labelling',
      result: { tasks: 10, labelled: 0, meaning: 'Nothing is labelled yet.' },
    })
    const { body: project } = await studio.send('GET', `/projects/${ready.project}`)
    expect(project).toMatchObject({ name: 'Re-test of dpo-1', settings: { mode: 'pair', blind: true } })
    await vote(ready.project, { ranks: [2, 1], preference: 1 })
    const { body: done } = await studio.send('GET', `/retests/${body.id}`)
    expect(done).toMatchObject({ state: 'done', result: { wins: 10, ties: 0, losses: 0, winRate: 1, high: 1 } })
    expect(done.result.low).toBeCloseTo(0.722, 3)
    expect(done.result.meaning).toMatch(/^The training helped: its answers win 100 %/)
    await studio.restart()
    expect((await studio.send('GET', '/retests')).body).toMatchObject([{ id: body.id, result: done.result }])
  })

  it('need held-out prompts for a re-test, and a model that answers', async () => {
    trainedRun({ model: 'owner/base' })
    const { body } = await studio.send('POST', '/retests', { run: 'dpo-1', prompts: 10 })
    expect(body.error.message).toContain('without held-out rows')
    expect((await studio.send('POST', '/retests', { run: '../x', prompts: 10 })).status).toBe(400)
  })
})
