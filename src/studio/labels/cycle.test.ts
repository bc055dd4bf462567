/** The cycle of labelling: a project, tasks, votes, what takes them back, and retries and conflicts on the way. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLabelling } from '../../../test/support/labelling.ts'
import type { TaskView, VoteRecord } from './api.ts'

let studio: ReturnType<typeof openLabelling>
beforeEach(() => {
  studio = openLabelling()
})
afterEach(() => studio.close())

const next = async (client: typeof studio.owner, project: number): Promise<TaskView> =>
  (await client('GET', `/projects/${project}/next`)).body

describe('a project', () => {
  it('is made, filled, labelled to its end, and tells how far it is', async () => {
    const { owner, vote } = studio
    const project = await studio.project({ mode: 'rank' }, 2, 3)
    const first = await next(owner, project)
    expect(first).toMatchObject({ project, position: 1, prompt: 'question 1', version: 0 })
    expect(first.shown.toSorted()).toEqual([0, 1, 2])
    const voted = await vote(owner, first, { ranks: [2, 1, null] })
    expect(voted.status).toBe(200)
    expect(voted.body).toMatchObject({
      vote: { task: first.id, annotator: 'owner', kind: 'vote', value: { ranks: [2, 1, null] }, seconds: 2 },
      version: 1,
      progress: { tasks: 2, finished: 1, votes: 1, own: { labelled: 1, skipped: 0, open: 1, seconds: 2, today: 1 } },
    })
    const second = await next(owner, project)
    expect(second.position).toBe(2)
    await vote(owner, second, { ranks: [1, 1, 1] })
    expect(await next(owner, project)).toMatchObject({ done: { finished: 2, own: { open: 0 } } })
    const projects = await owner('GET', '/projects')
    expect(projects.body).toMatchObject([{ id: project, mode: 'rank', progress: { finished: 2 } }])
    const table = (await owner('GET', `/projects/${project}/tasks?filter=finished&sort=-position`)).body
    expect(table.total).toBe(2)
    expect(table.rows.map(({ prompt }: { prompt: string }) => prompt)).toEqual(['question 2', 'question 1'])
    expect(table.rows[0]).toMatchObject({ votes: 1, state: 'finished', annotators: ['owner'], disagreement: null })
    expect(studio.published).toContain(`project/${project}`)
    expect(studio.published).toContain(`task/${first.id}`)
  })

  it('is changed and deleted, the latter only by who spells its name', async () => {
    const { owner, requestId, vote } = studio
    const project = await studio.project({ overlap: 2 }, 2)
    await vote(owner, await next(owner, project), { ranks: [1, 2] })
    const changed = await owner('PATCH', `/projects/${project}`, {
      requestId: requestId(),
      guidelines: '# Be kind',
      settings: { overlap: 1, order: 'random', seed: 4 },
    })
    expect(changed.body).toMatchObject({ guidelines: '# Be kind', settings: { overlap: 1, mode: 'rank' } })
    expect((await owner('GET', `/projects/${project}/progress`)).body.finished).toBe(1)
    const otherMode = await owner('PATCH', `/projects/${project}`, {
      requestId: requestId(),
      settings: { mode: 'pair' },
    })
    expect(otherMode).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('another project') } },
    })
    expect((await owner('DELETE', `/projects/${project}`, { name: 'helpfu' })).status).toBe(400)
    expect((await owner('DELETE', `/projects/${project}`, { name: 'helpful' })).status).toBe(204)
    expect((await owner('GET', `/projects/${project}`)).status).toBe(404)
    expect(studio.db.get<{ n: number }>('SELECT count(*) AS n FROM vote')!.n).toBe(0)
  })

  it('refuses settings that make no sense, and says which', async () => {
    const make = async (settings: object) =>
      (await studio.owner('POST', '/projects', { requestId: studio.requestId(), name: 'x', settings })).body.error
        ?.message
    expect(await make({ repeats: 0.7 })).toMatch(/settings\.repeats: at most half/)
    expect(await make({ mode: 'rate', scales: [{ name: 'a', min: 3, max: 1 }] })).toMatch(/ends at 1/)
    expect(await make({ template: { css: 'a{background:url(http://x)}' } })).toMatch(/template\.css/)
    expect(await make({ colour: 'red' })).toMatch(/colour/)
    expect(await make({ mode: 'rate' })).toBeUndefined()
  })
})

describe('a vote', () => {
  it('that is sent again is one row, and has the same answer', async () => {
    const { owner } = studio
    const project = await studio.project({ mode: 'pair' }, 3)
    const task = await next(owner, project)
    const body = { requestId: 'a', version: 0, shown: task.shown, value: { preference: -1 }, seconds: 1, touched: true }
    const send = () => owner('POST', `/tasks/${task.id}/votes`, body)
    const [first, second] = [await send(), await send()]
    expect(first.body.vote.value).toEqual({ preference: -1, ranks: [1, 2] })
    expect(second.body).toEqual(first.body)
    studio.reopen()
    expect((await send()).body).toEqual(first.body)
    expect((await owner('GET', `/tasks/${task.id}/history`)).body).toHaveLength(1)
    const other = await owner('POST', `/tasks/${task.id}/skip`, { requestId: 'a', version: 1, seconds: 1 })
    expect(other).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('another change') } },
    })
  })

  it('that comes after another of the same task is a conflict, and is kept', async () => {
    const { owner, vote } = studio
    const project = await studio.project({}, 2)
    const task = await next(owner, project)
    await vote(owner, task, { ranks: [1, 2] })
    const late = await vote(owner, task, { ranks: [2, 1] })
    expect(late.status).toBe(409)
    expect(late.body).toMatchObject({ error: { code: 'conflict' }, theirs: { value: { ranks: [1, 2] } }, version: 1 })
    const history: VoteRecord[] = (await owner('GET', `/tasks/${task.id}/history`)).body
    expect(history.map(({ value, refused }) => [value.ranks, refused])).toEqual([
      [[1, 2], undefined],
      [[2, 1], true],
    ])
    expect((await owner('GET', `/tasks/${task.id}`)).body.vote.value.ranks).toEqual([1, 2])
    const mine = await vote(owner, { ...task, version: late.body.version }, { ranks: [2, 1] })
    expect(mine.body.version).toBe(2)
    expect((await owner('GET', `/tasks/${task.id}`)).body.vote.value.ranks).toEqual([2, 1])
  })

  it('is taken back, over several tasks, and comes back as a draft', async () => {
    const { owner, vote, requestId } = studio
    const project = await studio.project({}, 3)
    const first = await next(owner, project)
    await vote(owner, first, { ranks: [1, 2] })
    await vote(owner, { ...first, version: 1 }, { ranks: [2, 1] })
    const second = await next(owner, project)
    await owner('POST', `/tasks/${second.id}/skip`, { requestId: requestId(), version: 0, reason: 'odd', seconds: 3 })
    const undo = async (id = requestId()) => owner('POST', `/projects/${project}/undo`, { requestId: id })

    const skip = await undo('u1')
    expect(skip.body).toMatchObject({ id: second.id, version: 2 })
    expect(skip.body.vote).toBeUndefined()
    expect((await undo('u1')).body).toEqual(skip.body)
    expect((await undo()).body).toMatchObject({
      id: first.id,
      vote: { value: { ranks: [1, 2] } },
      draft: { ranks: [2, 1] },
    })
    const last = (await undo()).body
    expect(last).toMatchObject({ id: first.id, version: 4, draft: { ranks: [1, 2] } })
    expect(last.vote).toBeUndefined()
    expect(await undo()).toMatchObject({ status: 404, body: { error: { message: 'there is nothing to take back' } } })
    expect((await owner('GET', `/projects/${project}/progress`)).body).toMatchObject({
      votes: 0,
      own: { labelled: 0, skipped: 0, open: 3 },
    })
    const history: VoteRecord[] = (await owner('GET', `/tasks/${first.id}/history`)).body
    expect(history.map(({ kind }) => kind)).toEqual(['vote', 'vote', 'undo', 'undo'])
    expect((await next(owner, project)).id).toBe(first.id)
  })

  it('is refused untouched, or with a value that its mode does not take, in clear words', async () => {
    const { owner, vote } = studio
    const project = await studio.project({ mode: 'rank', edits: false, spans: true }, 1, 3)
    const task = await next(owner, project)
    const said = async (value: object, more = {}) => (await vote(owner, task, value, more)).body.error.message
    expect(await said({ ranks: [1, 2, 3] }, { touched: false })).toMatch(/nothing was chosen/)
    expect(await said({ ranks: [1, 2] })).toMatch(/2 ranks for 3 responses/)
    expect(await said({ ranks: [null, null, null] })).toMatch(/at least one response/)
    expect(await said({ ranks: [2, 3, 3] })).toMatch(/best rank must be 1/)
    expect(await said({ ranks: [1, 2, 4] })).toMatch(/ranks end at 3/)
    expect(await said({ ranks: [1, 2.5, 3] })).toMatch(/whole numbers/)
    expect(await said({ ranks: [1, 2, 3] }, { shown: [0, 0, 1] })).toMatch(/shown: .*once/)
    expect(await said({ ranks: [1, 2, 3], edit: { text: 'x', from: 0 } })).toMatch(/no edits/)
    const span = { response: 0, start: 0, end: 100, mark: 'good' as const }
    expect(await said({ ranks: [1, 2, 3], spans: [span] })).toMatch(/behind the end/)
    expect(await said({ ranks: [1, 2, 3], spans: [{ ...span, start: 2, end: 2 }] })).toMatch(/one character/)
    expect(await said({ ranks: [1, 2, 3], hidden: 1 })).toMatch(/hidden/)
    expect((await owner('GET', `/tasks/${task.id}/history`)).body).toEqual([])
    const fine = await vote(owner, task, { ranks: [1, 1, null], spans: [{ ...span, end: 6, note: 'yes' }], note: 'hm' })
    expect(fine.status).toBe(200)
  })

  it.each([
    ['pair', { strengths: 3 }, { preference: 4 }, /from -3 .* to 3/],
    ['pair', {}, {}, /which of the two/],
    ['rate', { scales: [{ name: 'kind', min: 1, max: 5 }] }, { ratings: [{ kind: 6 }, { kind: 1 }] }, /from 1 to 5/],
    ['rate', { scales: [{ name: 'kind', min: 1, max: 5 }] }, { ratings: [{ kind: 2 }, {}] }, /response 2 is not rated/],
    ['best', {}, { ranks: [1, 1] }, /rank 1/],
    ['good', {}, {}, /good or bad/],
    ['edit', {}, { edit: { text: ' ', from: 0 } }, /empty/],
    ['edit', {}, { edit: { text: 'x', from: 5 } }, /counted from 0/],
  ] as const)('of mode %s with %j refuses %j', async (mode, settings, value, message) => {
    const project = await studio.project({ mode, ...settings } as object, 1, 2)
    const answer = await studio.vote(studio.owner, await next(studio.owner, project), value as object)
    expect(answer.status).toBe(400)
    expect(answer.body.error.message).toMatch(message)
  })
})

describe('a draft', () => {
  it('is kept until the vote, and only its person sees it', async () => {
    const { owner, vote } = studio
    const project = await studio.project({ overlap: 2 }, 1)
    const ann = await studio.annotator('Ann', [project])
    const task = await next(ann, project)
    expect((await ann('PUT', `/tasks/${task.id}/draft`, { value: { ranks: [null, 1], note: 'so far' } })).status).toBe(
      204,
    )
    studio.reopen()
    expect((await next(ann, project)).draft).toEqual({ ranks: [null, 1], note: 'so far' })
    expect((await next(owner, project)).draft).toBeUndefined()
    await ann('PUT', `/tasks/${task.id}/draft`, { value: {} })
    expect((await ann('GET', `/tasks/${task.id}`)).body.draft).toBeUndefined()
    await ann('PUT', `/tasks/${task.id}/draft`, { value: { ranks: [1, null] } })
    await vote(ann, task, { ranks: [1, 2] })
    expect((await ann('GET', `/tasks/${task.id}`)).body.draft).toBeUndefined()
  })
})

describe('text', () => {
  it('of any kind is stored and returned as it came', async () => {
    const { owner, vote, requestId } = studio
    const hostile = [
      '<script>alert(1)</script>',
      '"; DROP TABLE vote; --',
      'a\0b\u0001\u001b[31m',
      '\u202egnp.exe \u2066\ufeff',
      'lone \ud800 surrogate \udc00',
      '%s %n $' + '{process.env} {{7*7}} ../../etc/passwd',
      '__proto__',
      '\u0130stanbul \u1e9e',
      '👩‍👩‍👧‍👦'.repeat(50),
      '',
    ]
    const name = hostile.join(' | ').slice(0, 290)
    const project = (await owner('POST', '/projects', { requestId: requestId(), name: `x${name}x`, guidelines: name }))
      .body
    expect(project).toMatchObject({ name: `x${name}x`, guidelines: name })
    const rows = hostile.map((text, i) => ({
      prompt: text,
      responses: [{ text: `${text}1`, source: text }, { text: [{ role: 'assistant', content: `${text}${i}` }] }],
    }))
    expect((await owner('POST', `/projects/${project.id}/import`, { requestId: requestId(), rows })).body.added).toBe(
      10,
    )
    for (const { prompt, responses } of rows) {
      const task = await next(owner, project.id)
      expect(task.prompt).toBe(prompt)
      expect(task.responses.map(({ text }) => text)).toEqual(responses.map(({ text }) => text))
      const voted = await vote(owner, task, { ranks: [1, 2], note: prompt, edit: { text: `!${prompt}`, from: null } })
      expect(voted.body.vote.value).toMatchObject({ note: prompt, edit: { text: `!${prompt}` } })
    }
    const { text } = await owner('GET', `/projects/${project.id}/export?form=votes`)
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ value }) => value.note)).toEqual(hostile)
    const table = await owner('GET', `/projects/${project.id}/tasks?search=${encodeURIComponent('DROP table')}`)
    expect(table.body.rows.map(({ prompt }: { prompt: string }) => prompt)).toEqual([hostile[1]])
  })
})
