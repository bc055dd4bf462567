/** The studio's routes of runs and reports: what they show, and what no path, link or folder makes them show. */
import { execFileSync, spawn } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { asHttpError } from '../../http/errors.ts'
import type { LiveEvent } from '../api.ts'
import { reportRoutes } from '../reports/routes.ts'
import type { Role, StudioEnv } from '../session.ts'
import type { Curve, RunComparison, RunFile, RunList, RunPage, RunSamples } from './api.ts'
import { openRunsPart, type RunsPart } from './routes.ts'

let outside: string
let root: string
let part: RunsPart
let role: Role = 'own'
const told: LiveEvent[] = []
const begun: string[] = []
let failure: string | undefined
const app = new Hono<StudioEnv>()

const lines = (events: readonly object[]) => events.map((event) => `${JSON.stringify(event)}\n`).join('')

const info = (method: string, config: object = {}) => ({
  ...{ format: 1, method, created: '2026-01-02T03:04:05.000Z', command: ['attune', method] },
  config: { model: 'm', ...config },
  ...{ versions: {}, machine: {}, resumes: [], total_steps: 10, rows: 5, parameters: 100 },
})

const steps = Array.from({ length: 10 }, (_, i) => ({
  ...{ event: 'step', step: i + 1, total_steps: 10, loss: 2 - i / 10, num_tokens: 100 * (i + 1), 'time/rollout': 0.5 },
}))

const addRun = async (path: string, events: readonly object[], config: object = {}, method = 'sft') => {
  await mkdir(join(root, path), { recursive: true })
  await writeFile(join(root, path, 'run.json'), JSON.stringify(info(method, config)))
  await writeFile(join(root, path, 'events.jsonl'), lines(events))
}

beforeAll(async () => {
  outside = await realpath(await mkdtemp(join(tmpdir(), 'attune-runs-page-')))
  root = join(outside, 'root')
  await mkdir(root)
  await writeFile(join(outside, 'secret.txt'), 'secret')
  const samples = [1, 5].map((step) => ({
    event: 'sample',
    step,
    prompt: 'Hi',
    completion: `said ${step}`,
    reward: step,
  }))
  const warning = { event: 'warning', code: 'loss-flat', message: 'the loss\u202e is flat', count: 2 }
  await addRun('attune-runs/first', [...steps, ...samples, warning, { event: 'end', steps: 10, stopped: 'done' }], {
    learningRate: 0.5,
    batchSize: 2,
  })
  await addRun('attune-runs/second', [...steps.slice(0, 4), { event: 'eval', step: 4, eval_loss: 1 }], { batchSize: 4 })
  await addRun('deep/er/100% <b>&"third"', steps, {}, 'dpo')
  const { routes, close } = openRunsPart(
    root,
    {
      publish: (event) => void told.push(event),
      isWanted: (topic) => topic === 'run/second',
      stream: () => new Response(),
      close() {},
    },
    {
      resume: async ({ output }) => ({ waits: begun.push(output) > 1 }),
      failureOf: (name) => (name === 'second' ? failure : undefined),
    },
  )
  part = { routes, close }
  app.use(async (context, next) => {
    context.set('person', { id: 0, name: 'somebody', role })
    await next()
  })
  app.route('/api', routes)
  app.route('/api', reportRoutes(root))
  app.onError((error) => asHttpError(error).getResponse())
})
afterAll(async () => {
  part.close()
  await rm(outside, { recursive: true })
})

const ask = (path: string, init: RequestInit = {}) => app.request(`/api${path}`, init)
const json = async <T>(path: string): Promise<T> => {
  const response = await ask(path)
  expect(response.status, await response.clone().text()).toBe(200)
  return response.json() as Promise<T>
}
const send = (method: string, path: string, body?: unknown) =>
  ask(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) })
const message = async (response: Response | Promise<Response>) => (await (await response).json()).error.message
const encoded = (name: string) => encodeURIComponent(name)
const third = 'deep/er/100% <b>&"third"'

describe('the list of runs', () => {
  it('has runs of attune-runs by their name and others by their path, with figures', async () => {
    const { runs } = await json<RunList>('/runs')
    expect(runs.map(({ name }) => name).sort()).toEqual([third, 'first', 'second'].sort())
    expect(runs.find(({ name }) => name === 'first')).toMatchObject({
      ...{ state: 'done', method: 'sft', steps: 10, totalSteps: 10, kind: 'attune' },
      last: { metric: 'loss', label: 'mean training loss', value: 1.3, step: 10 },
    })
    expect(runs.find(({ name }) => name === third)).toMatchObject({ state: 'broken off', method: 'dpo' })
  })

  it('leaves out runs in folders of tests, but not a run that is named test', async () => {
    await addRun('deep/test/fixture', steps)
    await addRun('fixtures/er/one', steps)
    await addRun('attune-runs/test', steps)
    const names = (await json<RunList>('/runs')).runs.map(({ name }) => name)
    expect(names.sort()).toEqual([third, 'first', 'second', 'test'].sort())
    for (const folder of ['deep/test', 'fixtures', 'attune-runs/test'])
      await rm(join(root, folder), { recursive: true })
  })

  it('says of a damaged run that it is damaged', async () => {
    await mkdir(join(root, 'attune-runs/torn'))
    await writeFile(join(root, 'attune-runs/torn/run.json'), '{"format":2,"method":"sft"')
    const list = await json<RunList>('/runs')
    const torn = list.runs.find(({ name }) => name === 'torn')
    expect(torn).toMatchObject({ state: 'failed', reason: expect.stringContaining('is damaged') })
    await rm(join(root, 'attune-runs/torn'), { recursive: true })
  })

  it('leaves out a run whose run.json is a link out of the folder, and does not follow links to folders', async () => {
    await mkdir(join(outside, 'foreign'))
    await writeFile(join(outside, 'foreign', 'run.json'), JSON.stringify(info('sft')))
    await symlink(join(outside, 'foreign'), join(root, 'linked'))
    const { runs } = await json<RunList>('/runs')
    expect(runs.map(({ name }) => name)).not.toContain('linked')
    expect((await ask('/runs/linked')).status).toBe(404)
    await rm(join(root, 'linked'))
  })
})

describe('the page of a run', () => {
  it('has what became of it, its warnings, settings against defaults, and phases', async () => {
    const page = await json<RunPage>('/runs/first')
    expect(page.headline).toBe('sft: training loss 1.800 → 1.300')
    expect(page.warnings).toEqual([{ code: 'loss-flat', message: 'the loss\\u202e is flat', count: 2 }])
    expect(page.settings.find(({ key }) => key === 'learningRate')).toMatchObject({ value: '0.5', isDefault: false })
    expect(page.phases).toEqual([{ name: 'rollout', seconds: 5 }])
    expect(page.can).toEqual({ stop: false, resume: false, delete: true })
    expect(page.axes).toEqual(['step', 'tokens', 'flops'])
  })

  it('is found by a name with any characters, and gives curves, samples and the log', async () => {
    expect((await json<RunPage>(`/runs/${encoded(third)}`)).row.name).toBe(third)
    const curves = await json<Curve[]>(`/run-curves?run=${encoded(third)}&run=second&metric=loss&from=2&to=3`)
    expect(curves.map(({ run, part, x }) => [run, part, x])).toEqual([
      [third, 'trained', [2, 3]],
      ['second', 'trained', [2, 3]],
      ['second', 'held out', []],
    ])
    const samples = await json<RunSamples>('/runs/first/samples')
    expect(samples).toEqual({
      steps: [1, 5],
      prompts: [{ prompt: 'Hi', rows: [1, 5].map((step) => ({ step, completion: `said ${step}`, reward: step })) }],
    })
    expect(await json('/runs/first/events?from=3')).toMatchObject({ total: 4, events: [{ event: 'end' }] })
  })

  it('can be laid over others: settings that differ, last figures', async () => {
    const compared = await json<RunComparison>('/run-comparison?run=first&run=second')
    expect(compared.settings).toEqual([
      { key: 'learningRate', name: '--learning-rate', values: ['0.5', null] },
      { key: 'batchSize', name: '--batch-size', values: ['2', '4'] },
    ])
    // Means of the last 5 of 10 steps, and of the last 2 of 4
    expect(compared.figures.find(({ name }) => name === 'loss')?.values).toEqual([1.3, 1.75])
    expect(compared.apart).toBeUndefined()
    const apart = await json<RunComparison>(`/run-comparison?run=first&run=${encoded(third)}`)
    expect(apart.figures.map(({ name }) => name)).toEqual(['steps'])
    expect(apart.metrics.map(({ name }) => name)).not.toContain('loss')
    expect(apart.apart?.why).toContain('The losses of sft and dpo measure different things')
    expect(apart.apart?.changes[0]).toBe('training loss 1.800 → 1.300 (means of the first and last 5 steps)')
    expect(await message(ask('/run-comparison'))).toContain('name 1 to 12 runs')
  })

  it('is saved as one HTML file without links to its folder, and its curves as CSV', async () => {
    const report = await ask('/runs/first/report.html')
    expect(report.headers.get('content-disposition')).toBe('attachment; filename="first.html"')
    expect(await report.text()).toContain('training loss 1.800 → 1.300')
    const csv = await ask(`/runs/${encoded(third)}/curves.csv`)
    expect(csv.headers.get('content-disposition')).toBe('attachment; filename="deep-er-100-b-third-.csv"')
    expect((await csv.text()).split('\r\n')[1]).toBe('step,1,10,2,100,0.5')
  })

  it('keeps tags in the folder of the run, whole', async () => {
    expect((await send('PUT', '/runs/first/tags', { tags: ['good', ' good', 'für später'] })).status).toBe(204)
    expect((await json<RunPage>('/runs/first')).row.tags).toEqual(['good', 'für später'])
    expect(JSON.parse(await readFile(join(root, 'attune-runs/first/tags.json'), 'utf8')).tags).toHaveLength(2)
    expect((await readdir(join(root, 'attune-runs/first'))).filter((name) => name.endsWith('.tmp'))).toEqual([])
    expect(await message(send('PUT', '/runs/first/tags', { tags: ['x'.repeat(41)] }))).toContain('40 characters')
  })

  it('tells what is new within a second while its log is written', async () => {
    await json('/runs/second')
    await vi.waitFor(() => expect(told.length).toBeGreaterThan(0), 2000)
    const before = told.length
    await appendFile(join(root, 'attune-runs/second/events.jsonl'), lines([{ event: 'step', step: 5, loss: 0.25 }]))
    await vi.waitFor(() => expect(told.length).toBeGreaterThan(before), 1000)
    expect(told.at(-1)).toMatchObject({ topic: 'run/second', data: { row: { steps: 5 }, latest: { loss: 0.25 } } })
  })
})

describe('files', () => {
  it('of a run are listed with sizes and sent as they are, to be saved', async () => {
    const files = await json<RunFile[]>('/runs/second/files')
    expect(files.map(({ path }) => path)).toEqual(['events.jsonl', 'run.json'])
    const file = await ask('/runs/second/file?path=run.json')
    expect(file.headers.get('content-type')).toBe('application/octet-stream')
    expect(await file.json()).toMatchObject({ method: 'sft' })
  })

  it.each([
    '../../../secret.txt',
    '/etc/passwd',
    '..',
    '.',
    '',
    'checkpoints/../../../../secret.txt',
    'a\0b',
    'link.txt',
    'pipe',
  ])('outside of a run, and what is no file, are not sent: %j', async (path) => {
    const dir = join(root, 'attune-runs/second')
    await symlink(join(outside, 'secret.txt'), join(dir, 'link.txt')).catch(() => {})
    if (path === 'pipe') execFileSync('mkfifo', [join(dir, 'pipe')])
    const response = await ask(`/runs/second/file?path=${encodeURIComponent(path)}`)
    expect(response.status).toBe(404)
    expect(await response.text()).not.toContain('secret\n')
    await rm(join(dir, 'link.txt'), { force: true })
    await rm(join(dir, 'pipe'), { force: true })
  })

  it.each(['../foreign', '..', '.', '', '/', '/etc', 'first/../second', 'a\0b', '%2e%2e/foreign', 'nothing'])(
    'are no run under the name %j',
    async (name) => {
      const response = await ask(`/runs/${encodeURIComponent(name) || '%00'}`)
      expect(response.status).toBe(404)
    },
  )

  it('of a log that is a link out of the folder are not read', async () => {
    await addRun('attune-runs/sly', [])
    await rm(join(root, 'attune-runs/sly/events.jsonl'))
    await writeFile(join(outside, 'events.jsonl'), lines(steps))
    await symlink(join(outside, 'events.jsonl'), join(root, 'attune-runs/sly/events.jsonl'))
    expect((await json<RunPage>('/runs/sly')).row.steps).toBe(0)
    await rm(join(root, 'attune-runs/sly'), { recursive: true })
  })
})

describe('stopping, resuming and deleting', () => {
  const lock = (pid: number) =>
    writeFile(join(root, 'attune-runs/second/run.lock'), JSON.stringify({ pid, host: hostname(), since: 'now' }))

  it('asks the process that the lock names to end, and deletes no run that is written', async () => {
    const trainer = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'])
    const ended = new Promise((done) => trainer.on('exit', (_, signal) => done(signal)))
    await lock(trainer.pid!)
    expect((await json<RunPage>('/runs/second')).can).toEqual({ stop: true, resume: false, delete: false })
    expect(await message(send('DELETE', '/runs/second'))).toContain('stop it first')
    expect((await send('POST', '/runs/second/stop')).status).toBe(204)
    expect(await ended).toBe('SIGTERM')
    expect(await message(send('POST', '/runs/second/stop'))).toBe('the run is not running')
  })

  it('sends nothing to a process that is no program of Node, whatever a lock says', async () => {
    const sleeper = spawn('sleep', ['60'])
    await lock(sleeper.pid!)
    expect(await message(send('POST', '/runs/second/stop'))).toContain('is no training')
    expect(sleeper.exitCode).toBe(null)
    sleeper.kill()
    await lock(process.pid)
    expect(await message(send('POST', '/runs/second/stop'))).toContain('is no training')
    await rm(join(root, 'attune-runs/second/run.lock'))
  })

  it('resumes a run by its folder, and says what went wrong with the process', async () => {
    const resumed = await send('POST', '/runs/second/resume')
    expect([await resumed.json(), begun]).toEqual([{ waits: false }, ['attune-runs/second']])
    failure = 'the disk is full'
    expect((await json<RunPage>('/runs/second')).row).toMatchObject({ state: 'failed', reason: 'the disk is full' })
    failure = undefined
  })

  it('removes the folder of a run, and refuses to resume one that has reached its end', async () => {
    expect(await message(send('POST', '/runs/first/resume'))).toContain('nothing to resume')
    await addRun('attune-runs/old', steps)
    expect((await send('DELETE', '/runs/old')).status).toBe(204)
    expect(await readdir(join(root, 'attune-runs'))).not.toContain('old')
    expect((await ask('/runs/old')).status).toBe(404)
  })

  it('and every other route is for the owner only', async () => {
    role = 'adjudicate'
    for (const path of [
      '/runs',
      '/runs/first',
      '/runs/first/curves.csv',
      '/run-curves?run=first&metric=loss',
      '/reports',
    ])
      expect((await ask(path)).status, path).toBe(403)
    expect((await send('DELETE', '/runs/first')).status).toBe(403)
    role = 'own'
  })
})

describe('reports', () => {
  const head = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>`

  beforeAll(async () => {
    await mkdir(join(root, 'lab'))
    const page = `<html><head>${head}<title>attune compare: A &#60;beats&#62; B</title></head><body><script>x</script></body></html>`
    await writeFile(join(root, 'lab/report.html'), page)
    await writeFile(
      join(root, 'lab/findings.json'),
      JSON.stringify({ words: 'x', policies: [{ name: 'a', kl: { value: 1 } }] }),
    )
    await writeFile(join(root, 'lab/other.html'), '<title>A page of somebody</title>')
  })

  it('are the pages that attune wrote, with their kind and their numbers as tables', async () => {
    expect(await json('/reports')).toMatchObject([
      { path: 'lab/report.html', title: 'attune compare: A <beats> B', kind: 'compare', numbers: 'lab/findings.json' },
    ])
    expect(await json('/reports/numbers?path=lab/findings.json')).toEqual({
      tables: [
        { title: 'Values', columns: ['name', 'value'], rows: [['words', 'x']] },
        { title: 'policies', columns: ['name', 'kl.value'], rows: [['a', 1]] },
      ],
    })
  })

  it('are sent into a sandbox in which nothing runs and nothing is loaded', async () => {
    const response = await ask('/reports/page?path=lab/report.html')
    const policy = response.headers.get('content-security-policy')!
    expect(policy.split('; ')).toEqual(
      expect.arrayContaining(['sandbox', "default-src 'none'", "style-src 'unsafe-inline'", "frame-ancestors 'self'"]),
    )
    expect(policy).not.toContain('allow-')
  })

  it.each(['../secret.txt', 'attune-runs/first/run.json', 'lab', '/etc/passwd', 'lab/link.html'])(
    'are no other files: %s',
    async (path) => {
      await writeFile(join(outside, 'page.html'), 'secret')
      await symlink(join(outside, 'page.html'), join(root, 'lab/link.html')).catch(() => {})
      for (const route of ['page', 'numbers'])
        expect((await ask(`/reports/${route}?path=${encodeURIComponent(path)}`)).status).toBe(404)
    },
  )
})
