/** What the labels of a project become: rows, pairs, good and bad, other programs' files, by the votes or by what people say together. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Client, openLabelling } from '../../../test/support/labelling.ts'
import { openRows } from '../../data/openRows.node.ts'
import type { ProjectSettings, TaskView, VoteValue } from './api.ts'

let studio: ReturnType<typeof openLabelling>
beforeEach(() => {
  studio = openLabelling()
})
afterEach(() => studio.close())

/** A project in which each of these people said this of each task, in turn. */
const labelled = async (settings: Partial<ProjectSettings>, said: VoteValue[][], responses = 3) => {
  const project = await studio.project({ overlap: 10, ...settings }, said.length, responses)
  const people: Client[] = []
  for (const [i] of said[0].entries()) people.push(await studio.annotator(`P${i + 1}`, [project]))
  for (const values of said)
    for (const [i, value] of values.entries()) {
      const task: TaskView = (await people[i]('GET', `/projects/${project}/next`)).body
      const { status, text } = await studio.vote(people[i], task, value)
      if (status !== 200) throw new Error(text)
    }
  return project
}

const fetched = async (project: number, query: string) => {
  const { text, headers, status } = await studio.owner('GET', `/projects/${project}/export?${query}`)
  if (status !== 200) throw new Error(text)
  const name = /filename="([^"]+)"/.exec(headers.get('content-disposition')!)![1]
  return {
    name,
    rows: name.endsWith('.json')
      ? JSON.parse(text)
      : text
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line)),
  }
}

const three: VoteValue[][] = [
  [{ ranks: [1, 2, 3] }, { ranks: [1, 3, 2] }, { ranks: [1, 2, 3] }],
  [{ ranks: [2, 1, 2] }, { ranks: [3, 1, null] }, { ranks: [1, 2, 3] }],
]

it('writes rows that training reads, of the consensus or of each vote', async () => {
  const project = await labelled({ mode: 'rank' }, three)
  const together = await fetched(project, 'form=rows&consensus=majority')
  expect(together.name).toBe('helpful-rows.jsonl')
  expect(together.rows).toMatchObject([
    { prompt: 'question 1', responses: ['answer 1 to 1', 'answer 2 to 1', 'answer 3 to 1'], ranks: [1, 2, 3] },
    { prompt: 'question 2', ranks: [2, 1, 3] },
  ])
  const votes = await fetched(project, 'form=rows&votes=all')
  expect(votes.rows).toHaveLength(6)
  expect(votes.rows[1]).toMatchObject({
    ranks: [1, 3, 2],
    annotator: 'P2',
    lead_time: 2,
    created_at: expect.any(String),
  })
  const file = join(studio.root, 'rows.jsonl')
  writeFileSync(file, votes.rows.map((row: object) => `${JSON.stringify(row)}\n`).join(''))
  const opened = await openRows(file, { as: 'ranking' })
  expect(opened.length).toBe(6)
  expect((await opened.row(4)).vote).toMatchObject({ annotator: 'P2' })
  await opened.close()
  for (const method of ['bradley-terry', 'dawid-skene', 'adjudicated'])
    expect((await fetched(project, `form=rows&consensus=${method}`)).rows[0].ranks[0]).toBe(1)
})

it('takes the decision of an adjudicator before the majority', async () => {
  const project = await labelled({ mode: 'rank' }, three)
  const [{ id }] = (await studio.owner('GET', `/projects/${project}/tasks`)).body.rows
  const view = (await studio.owner('GET', `/tasks/${id}?adjudicate=1`)).body
  await studio.vote(studio.owner, view, { ranks: [3, 2, 1] }, { adjudicate: true })
  expect((await fetched(project, 'form=rows')).rows[0].ranks).toEqual([3, 2, 1])
  expect((await fetched(project, 'form=rows&consensus=majority')).rows[0].ranks).toEqual([1, 2, 3])
})

it('expands a ranking to its pairs, the better first', async () => {
  const project = await labelled({ mode: 'rank' }, [[{ ranks: [2, 1, 3] }], [{ ranks: [1, 1, null] }]])
  const { rows } = await fetched(project, 'form=preference')
  const texts = rows.map(
    ({ chosen, rejected }: { chosen: string; rejected: string }) => `${chosen[7]}>${rejected[7]} ${chosen.at(-1)}`,
  )
  expect(texts).toEqual(['2>1 1', '1>3 1', '2>3 1', '1>3 2', '2>3 2'])
  const trl = (await fetched(project, 'form=trl')).rows
  expect(trl).toHaveLength(5)
  expect(Object.keys(trl[0])).toEqual(['prompt', 'chosen', 'rejected'])
  expect((await fetched(project, 'form=llama-factory')).rows[0]).toEqual({
    conversations: [{ from: 'human', value: 'question 1' }],
    chosen: { from: 'gpt', value: 'answer 2 to 1' },
    rejected: { from: 'gpt', value: 'answer 1 to 1' },
  })
})

it('puts an edit before all, and writes no second response for one that was accepted as it is', async () => {
  const project = await labelled({ mode: 'rank' }, [
    [{ ranks: [1, 2, 3], edit: { text: 'better', from: 0 } }],
    [{ edit: { text: 'answer 2 to 2', from: 1 } }],
  ])
  const { rows } = await fetched(project, 'form=rows')
  expect(rows).toMatchObject([
    { responses: ['better', 'answer 1 to 1', 'answer 2 to 1', 'answer 3 to 1'], ranks: [1, 2, 3, 4] },
    { responses: ['answer 1 to 2', 'answer 2 to 2', 'answer 3 to 2'], ranks: [null, 1, null] },
  ])
  const pairs = (await fetched(project, 'form=preference')).rows
  expect(pairs.filter(({ chosen }: { chosen: string }) => chosen === 'better')).toHaveLength(3)
  expect((await fetched(project, 'form=kto')).rows).toMatchObject([
    { completion: 'better', label: true },
    { completion: 'answer 3 to 1', label: false },
    { completion: 'answer 1 to 2', label: false },
    { completion: 'answer 2 to 2', label: true },
    { completion: 'answer 3 to 2', label: false },
  ])
})

it('writes good and bad answers, all bad where people say so', async () => {
  const good = await labelled(
    { mode: 'good' },
    [
      [{ good: true }, { good: true }, { good: false }],
      [{ good: false }, { good: false }, { good: true }],
    ],
    1,
  )
  expect((await fetched(good, 'form=kto')).rows.map(({ label }: { label: boolean }) => label)).toEqual([true, false])
  expect(
    (await fetched(good, 'form=kto&votes=all')).rows.map(
      ({ label, annotator }: { label: boolean; annotator: string }) => `${annotator} ${label}`,
    ),
  ).toEqual(['P1 true', 'P2 true', 'P3 false', 'P1 false', 'P2 false', 'P3 true'])
  expect((await fetched(good, 'form=trl')).rows[0]).toMatchObject({
    prompt: 'question 1',
    completion: 'answer 1 to 1',
    label: true,
  })
})

it('keeps steps of preferences as margins, and ratings', async () => {
  const pair = await labelled(
    { mode: 'pair', strengths: 3 },
    [[{ preference: -3 }], [{ preference: 2 }], [{ preference: 0 }], [{ bothBad: true }]],
    2,
  )
  expect((await fetched(pair, 'form=preference')).rows).toMatchObject([
    { chosen: 'answer 1 to 1', margin: 3 },
    { chosen: 'answer 2 to 2', margin: 2 },
  ])
  expect((await fetched(pair, 'form=kto')).rows.slice(-2)).toMatchObject([{ label: false }, { label: false }])
})

it('keeps ratings, and ranks by their mean', async () => {
  const scales = [
    { name: 'kind', min: 1, max: 5 },
    { name: 'true', min: 1, max: 5 },
  ]
  const ratings = [
    { kind: 2, true: 3 },
    { kind: 5, true: 5 },
  ]
  const project = await labelled({ mode: 'rate', scales }, [[{ ratings }]], 2)
  expect((await fetched(project, 'form=rows&votes=all')).rows[0]).toMatchObject({ ranks: [2, 1], ratings })
})

it('writes what Label Studio and Argilla read, and the whole history', async () => {
  const { owner, requestId } = studio
  const project = await labelled({ mode: 'rank' }, three)
  const studioTasks = await fetched(project, 'form=label-studio')
  expect(studioTasks.name).toBe('helpful-label-studio.json')
  expect(studioTasks.rows[0].data.items).toHaveLength(3)
  expect(studioTasks.rows[0].annotations).toHaveLength(3)
  for (const name of ['P1', 'P2', 'P3']) expect(JSON.stringify(studioTasks.rows[0])).toContain(`"${name}"`)
  const { rows } = await fetched(project, 'form=argilla')
  expect(rows[1].responses[0].values.ranking.value.map(({ rank }: { rank: number }) => rank)).toEqual([2, 1, 2])
  const task = (await owner('GET', `/projects/${project}/next`)).body
  await owner('POST', `/tasks/${task.id}/skip`, { requestId: requestId(), version: 0, reason: 'why', seconds: 1 })
  await owner('POST', `/projects/${project}/undo`, { requestId: requestId() })
  const history = (await fetched(project, 'form=votes')).rows
  expect(history.map(({ kind }: { kind: string }) => kind)).toEqual([
    'vote',
    'vote',
    'vote',
    'skip',
    'undo',
    'vote',
    'vote',
    'vote',
  ])
  expect(history[3]).toMatchObject({ undone: true, reason: 'why', annotator: 'owner', prompt: 'question 1' })
})

it('says why there is nothing to export', async () => {
  const project = await studio.project({ mode: 'rank' }, 2, 2)
  const message = async (query: string) =>
    (await studio.owner('GET', `/projects/${project}/export?${query}`)).body.error.message
  expect(await message('form=rows')).toMatch(/no task has a vote/)
  const task = (await studio.owner('GET', `/projects/${project}/next`)).body
  await studio.vote(studio.owner, task, { ranks: [1, 1] })
  expect(await message('form=preference')).toMatch(/tie: 1/)
  expect(await message('form=excel')).toMatch(/one of rows, preference/)
})
