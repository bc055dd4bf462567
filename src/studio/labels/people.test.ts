/** Several people at one project: who sees what, who gets which task, known answers, repeats, and decisions between them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Client, openLabelling } from '../../../test/support/labelling.ts'
import type { TaskView, VoteRecord } from './api.ts'
import { makeLeases } from './leases.ts'
import { tasksBetween } from './next.ts'

let studio: ReturnType<typeof openLabelling>
beforeEach(() => {
  studio = openLabelling()
})
afterEach(() => studio.close())

const next = async (client: Client, project: number, after?: number): Promise<TaskView & { done?: object }> =>
  (await client('GET', `/projects/${project}/next${after ? `?after=${after}` : ''}`)).body

describe('two annotators', () => {
  it('see nothing of each other, nor where responses come from', async () => {
    const { owner, vote } = studio
    const project = await studio.project({ overlap: 2, blind: true }, 2, 2)
    const [ann, bob] = [await studio.annotator('Ann', [project]), await studio.annotator('Bob', [project])]
    const task = await next(ann, project)
    await vote(ann, task, { ranks: [1, 2], note: 'secret of Ann' })
    const seen = await Promise.all([
      bob('GET', `/tasks/${task.id}`),
      bob('GET', `/projects/${project}/tasks`),
      bob('GET', `/projects/${project}/tasks?annotator=Ann`),
      bob('GET', `/projects/${project}/next`),
      bob('GET', '/projects'),
    ])
    for (const { status, text } of seen) {
      expect(status).toBe(200)
      expect(text).not.toMatch(/secret|Ann|model-1/)
    }
    expect(seen[1].body.rows[0]).toMatchObject({ votes: 0, state: 'open', annotators: [], at: null })
    for (const path of [`/tasks/${task.id}/history`, `/tasks/${task.id}?adjudicate=1`])
      expect((await bob('GET', path)).status).toBe(403)
    const decides = (await owner('GET', `/tasks/${task.id}?adjudicate=1`)).body
    expect(decides.votes).toMatchObject([{ annotator: 'Ann', value: { note: 'secret of Ann' } }])
    expect(decides.responses[0].source).toBe('model-1')
    expect((await ann('GET', `/projects/${project}/tasks?filter=labelled`)).body).toMatchObject({
      total: 1,
      rows: [{ id: task.id, votes: 1, state: 'labelled' }],
    })
  })

  it('get each task as often as the overlap asks for, and not the last place at once', async () => {
    const { vote } = studio
    const project = await studio.project({ overlap: 1 }, 3)
    const [ann, bob] = [await studio.annotator('Ann', [project]), await studio.annotator('Bob', [project])]
    const [forAnn, forBob] = [await next(ann, project), await next(bob, project)]
    expect([forAnn.position, forBob.position]).toEqual([1, 2])
    expect((await next(ann, project)).id).toBe(forAnn.id)
    expect((await next(ann, project, forAnn.id)).position).toBe(3)
    // Bob opens Ann's task from the list: both votes are kept
    const same = (await bob('GET', `/tasks/${forAnn.id}`)).body
    expect((await vote(bob, same, { ranks: [2, 1] })).status).toBe(200)
    expect((await vote(ann, forAnn, { ranks: [1, 2] })).status).toBe(200)
    const [row] = (await studio.owner('GET', `/projects/${project}/tasks`)).body.rows
    expect(row).toMatchObject({ votes: 2, disagreement: 1, annotators: ['Ann', 'Bob'] })
  })

  it('see responses in orders of their own, which a seed repeats and the vote keeps', async () => {
    const { vote } = studio
    const project = await studio.project({ overlap: 2, seed: 7 }, 12, 4)
    const [ann, bob] = [await studio.annotator('Ann', [project]), await studio.annotator('Bob', [project])]
    const orders = async (client: Client) => {
      const found: string[] = []
      for (let task = await next(client, project); !task.done; task = await next(client, project)) {
        found.push(task.shown.join(''))
        expect((await client('GET', `/tasks/${task.id}`)).body.shown).toEqual(task.shown)
        const { body } = await vote(client, task, { ranks: [1, 2, 3, 4] })
        expect(body.vote.shown).toEqual(task.shown)
      }
      return found
    }
    const [ofAnn, ofBob] = [await orders(ann), await orders(bob)]
    expect(ofAnn).toHaveLength(12)
    expect(new Set(ofAnn).size).toBeGreaterThan(4)
    expect(ofAnn).not.toEqual(ofBob)
  })

  it('have rights that end with their role, their projects and their link', async () => {
    const { owner, requestId } = studio
    const [open, closed] = [await studio.project({}, 1), await studio.project({}, 1)]
    const ann = await studio.annotator('Ann', [open])
    const task = (await owner('GET', `/projects/${closed}/tasks`)).body.rows[0].id
    const statusOf = async (client: Client, method: string, path: string, body: object = {}) =>
      (await client(method, path, method === 'GET' ? undefined : { requestId: requestId(), ...body })).status
    for (const path of [
      `/projects/${closed}`,
      `/projects/${closed}/next`,
      `/projects/${closed}/tasks`,
      `/tasks/${task}`,
    ])
      expect(await statusOf(ann, 'GET', path), path).toBe(404)
    const vote = { version: 0, shown: [0, 1], value: { ranks: [1, 2] }, seconds: 1, touched: true }
    expect(await statusOf(ann, 'POST', `/tasks/${task}/votes`, vote)).toBe(404)
    for (const [method, path] of [
      ['POST', '/projects'],
      ['PATCH', `/projects/${open}`],
      ['DELETE', `/projects/${open}`],
      ['POST', `/projects/${open}/import`],
      ['POST', `/projects/${open}/scores`],
      ['GET', '/annotators'],
      ['POST', '/annotators'],
      ['DELETE', '/annotators/1'],
      ['GET', '/files'],
      ['PUT', '/uploads/a.jsonl'],
      ['GET', `/projects/${open}/agreement`],
      ['GET', `/projects/${open}/adjudication`],
      ['GET', `/projects/${open}/export?form=votes`],
    ])
      expect(await statusOf(ann, method, path), `${method} ${path}`).toBe(403)
    expect((await ann('GET', '/projects')).body).toHaveLength(1)

    const [info] = (await owner('GET', '/annotators')).body
    expect(info).toMatchObject({ name: 'Ann', role: 'annotate', projects: [open], lastSeen: expect.any(String) })
    const change = { requestId: requestId(), projects: [open, closed], role: 'adjudicate' }
    expect((await owner('PATCH', `/annotators/${info.id}`, change)).body.projects).toEqual([open, closed])
    expect(await statusOf(ann, 'GET', `/tasks/${task}/history`)).toBe(200)
    expect((await owner('DELETE', `/annotators/${info.id}`)).status).toBe(204)
    expect(await statusOf(ann, 'GET', '/projects')).toBe(401)
  })

  it('are made once by a request that is sent again, and their tokens are not stored', async () => {
    const { owner } = studio
    const body = { requestId: 'r', name: 'Ann', role: 'annotate', projects: [] }
    const [one, two] = [await owner('POST', '/annotators', body), await owner('POST', '/annotators', body)]
    expect(two.body).toEqual(one.body)
    const token = new URL(one.body.link).searchParams.get('token')!
    expect(token).toMatch(/^[\w-]{43}$/)
    const stored = ['person', 'request'].map((table) => JSON.stringify(studio.db.all(`SELECT * FROM ${table}`))).join()
    expect(stored).not.toContain(token)
    const twin = await owner('POST', '/annotators', { ...body, requestId: 's' })
    expect(twin).toMatchObject({ status: 400, body: { error: { message: expect.stringContaining('this name') } } })
    studio.reopen()
    expect((await owner('POST', '/annotators', body)).body.error.message).toMatch(/make a new one/)
  })
})

describe('the order of tasks', () => {
  it('brings back what was skipped at the end, once by itself', async () => {
    const { owner, vote, requestId } = studio
    const project = await studio.project({}, 3)
    const skip = async (task: TaskView) =>
      (
        await owner('POST', `/tasks/${task.id}/skip`, {
          requestId: requestId(),
          version: task.version,
          reason: 'hard',
          seconds: 1,
        })
      ).body
    const first = await next(owner, project)
    expect(await skip(first)).toMatchObject({
      vote: { kind: 'skip', reason: 'hard' },
      progress: { own: { skipped: 1, open: 2 } },
    })
    for (let i = 0; i < 2; i++) await vote(owner, await next(owner, project), { ranks: [1, 2] })
    const back = await next(owner, project)
    expect(back).toMatchObject({ id: first.id, version: 1, vote: { kind: 'skip' } })
    await skip(back)
    expect((await next(owner, project)).done).toMatchObject({ own: { labelled: 2, skipped: 1 } })
    const again = (await owner('GET', `/tasks/${first.id}`)).body
    expect((await vote(owner, again, { ranks: [2, 1] })).body.progress.own).toMatchObject({ labelled: 3, skipped: 0 })
  })

  it('is random by a seed, or begins with what scores say least of', async () => {
    const { owner, requestId, vote } = studio
    const project = await studio.project({ order: 'random', seed: 5 }, 8)
    const rows = (await owner('GET', `/projects/${project}/tasks`)).body.rows as { id: number; position: number }[]
    const positions = async () => {
      const found: number[] = []
      for (let task = await next(owner, project); !task.done && found.length < 3; task = await next(owner, project)) {
        found.push(task.position)
        await vote(owner, task, { ranks: [1, 2] })
      }
      for (const _ of found) await owner('POST', `/projects/${project}/undo`, { requestId: requestId() })
      return found
    }
    const random = await positions()
    expect(await positions()).toEqual(random)
    const settings = (change: object) =>
      owner('PATCH', `/projects/${project}`, { requestId: requestId(), settings: change })
    await settings({ seed: 6 })
    expect(await positions()).not.toEqual(random)
    await settings({ order: 'file' })
    expect(await positions()).toEqual([1, 2, 3])
    const scores = (name: string, of: (position: number) => number[]) =>
      owner('POST', `/projects/${project}/scores`, {
        requestId: requestId(),
        name,
        scores: rows.map(({ id, position }) => ({ task: id, scores: of(position) })),
      })
    await settings({ order: 'informative' })
    await scores('small', (position) => [position === 6 ? 9 : 0, position === 3 ? 0.5 : 5])
    expect((await positions())[0]).toBe(3)
    await scores('large', () => [0, 5])
    // The models disagree on 6
    expect((await positions())[0]).toBe(6)
    expect((await owner('GET', `/tasks/${rows[5].id}`)).body.scores).toEqual({ small: [9, 5], large: [0, 5] })
    const wrong = await owner('POST', `/projects/${project}/scores`, {
      requestId: requestId(),
      name: 'x',
      scores: [{ task: rows[0].id, scores: [1] }],
    })
    expect(wrong.body.error.message).toMatch(/1 for the 2 responses/)
  })

  it('has a task of known answer at every n-th place, and tells whether the vote was right', async () => {
    const { owner, requestId, vote } = studio
    const project = await studio.project({ mode: 'pair', goldEvery: 3, overlap: 1 }, 9)
    const known = [1, 2].map((i) =>
      JSON.stringify({ prompt: `gold ${i}`, responses: ['good', 'bad'], ranks: [1, 2], explanation: 'it is so' }),
    )
    await owner('PUT', '/uploads/gold.jsonl', known.join('\n'))
    const report = await owner('POST', `/projects/${project}/import`, {
      requestId: requestId(),
      upload: 'gold.jsonl',
      ranksAre: 'gold',
    })
    expect(report.body).toEqual({ added: 2, already: 0, dropped: {} })
    const ann = await studio.annotator('Ann', [project])
    const prompts: string[] = []
    for (let i = 0; i < 7; i++) {
      const task = await next(ann, project)
      expect(JSON.stringify(task)).not.toMatch(/it is so|"gold":/)
      prompts.push(task.prompt as string)
      const { body } = await vote(ann, task, { preference: i < 4 ? -1 : 1 })
      expect(body.gold).toEqual(prompts[i].startsWith('gold') ? { right: i < 4, explanation: 'it is so' } : undefined)
    }
    expect(prompts.map((prompt) => prompt.split(' ')[0])).toEqual([
      'question',
      'question',
      'gold',
      'question',
      'question',
      'gold',
      'question',
    ])
    const { annotators } = (await owner('GET', `/projects/${project}/agreement`)).body
    expect(annotators).toMatchObject([{ name: 'Ann', votes: 7, gold: { right: 1, asked: 2 } }])
    expect((await owner('GET', `/projects/${project}/tasks?filter=gold`)).body.total).toBe(2)
  })

  it('shows some tasks again to the same person, some tasks later, as if they were new', async () => {
    const { owner, vote } = studio
    const project = await studio.project({ repeats: 0.5, seed: 2 }, 40)
    const ann = await studio.annotator('Ann', [project])
    const given: number[] = []
    let task = await next(ann, project)
    for (; !task.done; task = await next(ann, project)) {
      const isAgain = given.includes(task.id)
      if (isAgain) {
        expect(task.vote).toBeUndefined()
        // A page that is loaded again asks for the task itself
        expect((await ann('GET', `/tasks/${task.id}`)).body.version).toBe(task.version)
        const apart = given.length - given.indexOf(task.id)
        expect(apart).toBeGreaterThan(given.length < 40 ? tasksBetween : 3)
      }
      given.push(task.id)
      const { body } = await vote(ann, task, { ranks: given.length % 5 ? [1, 2] : [2, 1] })
      expect(body.vote.repeat).toBe(isAgain || undefined)
    }
    const again = given.length - 40
    expect(again).toBeGreaterThan(10)
    expect(again).toBeLessThan(30)
    expect((await ann('GET', `/projects/${project}/progress`)).body.own).toMatchObject({ labelled: 40, open: 0 })
    const { withSelf, annotators } = (await owner('GET', `/projects/${project}/agreement`)).body
    expect(withSelf.pairs).toBe(again)
    expect(withSelf.value).toBeGreaterThan(0.4)
    expect(withSelf.value).toBeLessThan(1)
    expect(withSelf.low).toBeLessThan(withSelf.value)
    expect(annotators[0].withSelf).toBe(withSelf.value)
    // Both passes can be changed, each by its own version
    const history: VoteRecord[] = (await owner('GET', `/tasks/${given.at(-1)}/history`)).body
    expect(history.map(({ repeat }) => repeat)).toEqual([undefined, true])
  })
})

describe('adjudicators', () => {
  it('get what people disagree on most, decide it, and conflict visibly', async () => {
    const { owner, vote } = studio
    const project = await studio.project({ overlap: 3 }, 3, 3)
    const people = await Promise.all(['Ann', 'Bob', 'Cid'].map((name) => studio.annotator(name, [project])))
    const judge = await studio.annotator('Dan', [project], 'adjudicate')
    const said = [
      [
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3],
      ],
      [
        [1, 2, 3],
        [1, 2, 3],
        [3, 2, 1],
      ],
      [
        [1, 2, 3],
        [1, 2, 3],
        [1, 3, 2],
      ],
    ]
    for (const [i, person] of people.entries())
      for (const row of said) await vote(person, await next(person, project), { ranks: row[i] })
    const queue = (await judge('GET', `/projects/${project}/adjudication`)).body
    expect(queue.rows.map(({ position }: { position: number }) => position)).toEqual([2, 3])
    expect(queue.rows[0].disagreement).toBeCloseTo(2 / 3)
    const view = async (client: Client) => (await client('GET', `/tasks/${queue.rows[0].id}?adjudicate=1`)).body
    const [forDan, forOwner] = [await view(judge), await view(owner)]
    expect(forDan.votes).toHaveLength(3)
    const decided = await vote(judge, forDan, { ranks: [1, 2, 3] }, { adjudicate: true })
    expect(decided.body.vote).toMatchObject({ kind: 'adjudicate', annotator: 'Dan' })
    const late = await vote(owner, forOwner, { ranks: [3, 2, 1] }, { adjudicate: true })
    expect(late).toMatchObject({ status: 409, body: { theirs: { annotator: 'Dan' }, version: 1 } })
    expect((await judge('GET', `/projects/${project}/adjudication`)).body.total).toBe(1)
    expect((await view(owner)).adjudication.value.ranks).toEqual([1, 2, 3])
    expect((await owner('GET', `/projects/${project}/tasks?filter=adjudicated`)).body.total).toBe(1)
    const undone = await judge('POST', `/projects/${project}/undo`, { requestId: studio.requestId() })
    expect(undone.body).toMatchObject({ id: queue.rows[0].id, version: 2 })
    expect((await judge('GET', `/projects/${project}/adjudication`)).body.total).toBe(2)
    expect((await vote(people[0], forDan, { ranks: [1, 2, 3] }, { adjudicate: true })).status).toBe(403)
  })
})

describe('leases', () => {
  it('end after a while, and do not count for their own person or for second passes', () => {
    let now = 0
    const leases = makeLeases(() => now)
    leases.take(1, 10, 0)
    leases.take(1, 11, 1)
    expect([leases.others(1, 12), leases.others(1, 10)]).toEqual([1, 0])
    expect(leases.passOf(1, 11)).toBe(1)
    now = 170_000
    leases.take(1, 10, 0)
    now = 200_000
    expect([leases.others(1, 12), leases.passOf(1, 11)]).toEqual([1, undefined])
    leases.release(1, 10)
    expect(leases.others(1, 12)).toBe(0)
  })
})
