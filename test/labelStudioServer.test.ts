/** Tasks and votes to a Label Studio server and back, against a server that answers as the real one does, and one that fails. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { pullVotes } from '../src/feedback/labelStudio/pull.ts'
import { pushTasks } from '../src/feedback/labelStudio/push.ts'
import { openServer } from '../src/feedback/labelStudio/server.ts'
import { writeTemplate } from '../src/feedback/labelStudio/writeTemplate.ts'
import type { Task } from '../src/feedback/votes/tasks.ts'
import { legacyToken, personalToken, type Stub, startStub } from './support/labelStudioStub.ts'
import { root } from './support/project.ts'

const notebook = readFileSync(join(root, 'test/fixtures/labelStudio/ranker.xml'), 'utf8')
let stub: Stub
beforeEach(async () => void (stub = await startStub()))
afterEach(() => stub.close())

const open = (token = legacyToken) => openServer({ url: `${stub.url}/`, token, firstWait: 1 })

const task = (n: number): Task => ({
  id: `row-${n}`,
  prompt: `prompt ${n}`,
  responses: ['a', 'b', 'c'],
  votes: [
    {
      ranks: [2, 1, 3],
      vote: {
        annotator: 'ann',
        annotation: `v${n}`,
        lead_time: 2.5,
        created_at: '2026-01-01T00:00:00Z',
        answers: { note: `n${n}` },
      },
    },
    { ranks: [1, 2, 3], vote: { annotator: 12, annotation: n } },
  ],
  predictions: [{ ranks: [3, 2, 1], vote: { annotator: 'm', prediction: true, score: 0.5 } }],
})
const tasks = (count: number) => Array.from({ length: count }, (_, i) => task(i))
const push = (
  count: number,
  { project = 'Answers', template = writeTemplate({ mode: 'rank', responses: 3 }), token = legacyToken } = {},
) => pushTasks(open(token), tasks(count), { project, template, changed: () => {} })

describe('a push', () => {
  it('makes the project, and what is pulled is what was pushed', async () => {
    expect(await push(3)).toEqual({
      project: 1,
      title: 'Answers',
      made: true,
      tasks: 3,
      annotations: 6,
      predictions: 3,
      already: 0,
    })
    const { votes } = await pullVotes(open(), 'Answers')
    expect(votes.dropped).toEqual({})
    const common = { prompt: 'prompt 0', responses: ['a', 'b', 'c'] }
    expect(votes.rankings.slice(0, 2)).toEqual([
      { kind: 'ranking', ...common, ranks: [2, 1, 3], vote: { ...task(0).votes[0].vote, task: 'row-0' } },
      {
        kind: 'ranking',
        ...common,
        ranks: [1, 2, 3],
        vote: { task: 'row-0', annotator: 12, annotation: 0, created_at: '2026-11-30T19:00:00.000000Z' },
      },
    ])
    expect(votes.predicted[2]).toMatchObject({
      ranks: [3, 2, 1],
      vote: { task: 'row-2', annotator: 'm', prediction: true, score: 0.5 },
    })
  })

  it("to a project with the notebook's template has all keys that it names, and its names of controls", async () => {
    const { project } = await push(1, { template: notebook, project: 'Notebook' })
    const [{ data, annotations }] = stub.tasks
    expect(data).toMatchObject({ title: '', body: '', prompt: 'prompt 0' })
    expect(annotations[0].result[0]).toMatchObject({ from_name: 'rank', to_name: 'response_choices' })
    // A template without a place for notes loses none
    const { votes } = await pullVotes(open(), String(project))
    expect(votes.rankings[0].vote?.answers).toEqual({ note: 'n0' })
  })

  it('again sends only what is not there', async () => {
    await push(120)
    expect(stub.log.filter((line) => line.includes('import'))).toHaveLength(2)
    expect(await push(150)).toMatchObject({ made: false, tasks: 30, already: 120 })
    expect(await push(150)).toMatchObject({ tasks: 0, already: 150 })
    expect(stub.tasks).toHaveLength(150)
  })

  it.each([
    ['fails before it did anything', { on: /import/, status: 502 }],
    ['fails after it took the tasks in', { on: /import/, status: 504, done: true }],
    ['breaks the connection', { on: /import/, status: 0 }],
    ['breaks the connection after it took the tasks in', { on: /import/, status: 0, done: true }],
    ['is busy', { on: /import/, status: 429 }],
    ['fails while tasks are listed', { on: /tasks/, status: 500 }],
    ['fails after it made the project', { on: /POST .*projects\/$/, status: 502, done: true }],
  ])('to a server that %s doubles and loses nothing', async (_, trouble) => {
    stub.troubles.push(trouble)
    expect(await push(130)).toMatchObject({ tasks: 130, annotations: 260 })
    expect(new Set(stub.tasks.map(({ data }) => data.prompt)).size).toBe(130)
    expect([stub.tasks.length, stub.projects.length]).toEqual([130, 1])
  })

  it('ends where the server fails for good', async () => {
    for (let i = 0; i < 20; i++) stub.troubles.push({ on: /import/, status: 500 })
    await expect(push(1)).rejects.toThrow('answered POST /api/projects/1/import with status 500: trouble')
    expect(stub.tasks).toEqual([])
  })

  it('to a project whose template asks something else is refused with the tag', async () => {
    const template = '<View><Image name="i" value="$image"/></View>'
    await expect(push(1, { template })).rejects.toThrow('Image "i" on line 1 is a tag that attune has nothing for')
  })

  it('counts votes that the template cannot say', async () => {
    const changed: string[] = []
    const template = writeTemplate({ mode: 'rank', responses: 2 })
    const given: Task = { prompt: 'p', responses: ['a', 'b'], votes: [{ ranks: [1, 1] }, { ranks: [1, null] }] }
    const pushed = await pushTasks(open(), [given], {
      project: 'Ties',
      template,
      changed: (what) => changed.push(what),
    })
    expect([pushed.tasks, pushed.annotations, changed]).toEqual([1, 0, ['vote-with-tie', 'vote-with-unranked']])
  })
})

it('a pull passes over tasks without responses that nobody has answered', async () => {
  stub.projects.push({ id: 1, title: 'mixed', label_config: notebook })
  stub.tasks.push({ id: 1, project: 1, data: { prompt: 'p', items: [] }, meta: {}, annotations: [], predictions: [] })
  const { votes } = await pullVotes(open(), 'mixed')
  expect([votes.rankings, votes.open, votes.records]).toEqual([[], [], 1])
})

describe('tokens', () => {
  it('a personal one buys access, again when that has run out', async () => {
    stub.state.legacy = false
    const server = open(personalToken)
    await server.get('/api/projects/?title=x')
    stub.state.access = 'another'
    await server.get('/api/projects/?title=x')
    expect(stub.state.refreshed).toBe(2)
  })

  it('a legacy one that the server no longer takes is said so, and never shown', async () => {
    stub.state.legacy = false
    const refused = await open()
      .get('/api/projects/?title=x')
      .then(String, (error) => error)
    expect(refused).toMatchObject({ code: 'server-refused', exitCode: 2 })
    expect((refused as Error).message).toContain('legacy token authentication has been disabled')
    expect((refused as Error).message).not.toContain(legacyToken)
  })

  it('go to no other address', async () => {
    stub.troubles.push({ on: /projects/, status: 302 })
    await expect(open().get('/api/projects/?title=x')).rejects.toThrow('sends on to https://elsewhere.example/')
  })
})

describe('addresses and projects', () => {
  it.each(['localhost:8080', 'ftp://x', 'http://user:pw@x', 'http://x/?token=1', ''])('%s is no server', (url) => {
    expect(() => openServer({ url, token: 'x' })).toThrow('must be the address of a Label Studio server')
  })

  it('a server that is not there is said so after some tries', async () => {
    const { url } = stub
    await stub.close()
    await expect(openServer({ url, token: legacyToken, firstWait: 1 }).get('/api/x')).rejects.toMatchObject({
      code: 'server',
      exitCode: 1,
      message: expect.stringContaining('does not answer (ECONNREFUSED)'),
    })
    stub = await startStub()
  })

  it('what answers, but not as Label Studio does, is refused', async () => {
    stub.projects.push({ id: 1, name: 'no title' })
    await expect(pullVotes(open(), '1')).rejects.toThrow('answers as no Label Studio server does (title)')
  })

  it('a project is found by its whole title only, and by number where two share one', async () => {
    for (const title of ['Answers two', 'Same', 'Same'])
      stub.projects.push({ id: stub.projects.length + 1, title, label_config: notebook })
    await expect(pullVotes(open(), 'Answers')).rejects.toThrow('has no project with the number or title "Answers"')
    await expect(pullVotes(open(), 'Same')).rejects.toThrow('give one of the numbers 2, 3')
    expect((await pullVotes(open(), '3')).project).toBe(3)
  })
})

it('votes in templates of other names are read: pairs, ratings, good or bad, the best of several', async () => {
  const add = (label_config: string, data: object, result: object[]) => {
    const id = stub.projects.length + 1
    stub.projects.push({ id, title: `p${id}`, label_config })
    const annotations = [{ id: 1, completed_by: 1, was_cancelled: false, result }]
    stub.tasks.push({ id, project: id, data, meta: {}, annotations, predictions: [] })
    return String(id)
  }
  const text = (name: string, key: string) => `<Text name="${name}" value="$${key}"/>`
  const pair = add(
    `<View>${text('q', 'question')}${text('l', 'left')}${text('r', 'right')}<Pairwise name="pw" toName="l,r"/></View>`,
    { question: 'q', left: 'x', right: 'y' },
    [{ type: 'pairwise', from_name: 'pw', to_name: 'l,r', value: { selected: 'right' } }],
  )
  expect((await pullVotes(open(), pair)).votes.rankings).toMatchObject([
    { prompt: 'q', responses: ['x', 'y'], ranks: [2, 1] },
  ])
  const good = add(
    `<View>${text('q', 'ask')}${text('a', 'answer')}<Choices name="ok" toName="a"><Choice value="Thumbs up"/><Choice value="Thumbs down"/></Choices><TextArea name="why" toName="a"/></View>`,
    { ask: 'q', answer: 'x' },
    [
      { type: 'choices', from_name: 'ok', to_name: 'a', value: { choices: ['Thumbs down'] } },
      { type: 'textarea', from_name: 'why', to_name: 'a', value: { text: ['wrong'] } },
    ],
  )
  expect((await pullVotes(open(), good)).votes.unpaired).toMatchObject([
    { prompt: 'q', completion: 'x', label: false, vote: { answers: { note: 'wrong' } } },
  ])
  const rated = add(
    `<View>${text('q', 'ask')}${text('a', 'one')}${text('b', 'two')}<Rating name="fine 1" toName="a"/><Rating name="fine 2" toName="b"/></View>`,
    { ask: 'q', one: 'x', two: 'y' },
    [
      { type: 'rating', from_name: 'fine 1', to_name: 'a', value: { rating: 1 } },
      { type: 'rating', from_name: 'fine 2', to_name: 'b', value: { rating: 4 } },
    ],
  )
  expect((await pullVotes(open(), rated)).votes.rankings).toMatchObject([
    { responses: ['x', 'y'], ranks: [2, 1], vote: { answers: { 'fine-1': 1, 'fine-2': 4 } } },
  ])
  const best = add(
    `<View>${text('q', 'ask')}${text('a', 'one')}${text('b', 'two')}<Choices name="pick" toName="q"><Choice value="A"/><Choice value="B"/></Choices></View>`,
    { ask: 'q', one: 'x', two: 'y' },
    [{ type: 'choices', from_name: 'pick', to_name: 'q', value: { choices: ['B'] } }],
  )
  expect((await pullVotes(open(), best)).votes.rankings).toMatchObject([{ responses: ['x', 'y'], ranks: [null, 1] }])
})
