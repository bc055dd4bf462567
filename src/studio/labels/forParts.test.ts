/** What other parts of the studio do with labels. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openLabelling } from '../../../test/support/labelling.ts'
import { addRows, allTasks, currentValues, exportRows, makeProject, setScores } from './forParts.ts'

let studio: ReturnType<typeof openLabelling>
beforeEach(() => {
  studio = openLabelling()
})
afterEach(() => studio.close())

const collect = async <T>(all: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = []
  for await (const one of all) found.push(one)
  return found
}

it('makes a project of what models said, scores it, and reads what people say', async () => {
  const { labels, owner, vote } = studio
  const project = makeProject(labels, { name: 'A against B', settings: { mode: 'pair', order: 'informative' } })
  const rows = [1, 2, 3].map((i) => ({
    prompt: `q${i}`,
    responses: [
      { text: `a${i}`, source: 'A' },
      { text: `b${i}`, source: 'B' },
    ],
  }))
  expect(addRows(labels, project, rows)).toEqual({ added: 3, already: 0, dropped: {} })
  expect(addRows(labels, project, [...rows, { prompt: 'q4', responses: [{ text: 'x' }] }])).toEqual({
    added: 0,
    already: 3,
    dropped: { 'one-response': 1 },
  })
  expect((await owner('GET', `/projects/${project}/progress`)).body.tasks).toBe(3)
  const tasks = await collect(allTasks(labels, project))
  expect(tasks.map(({ prompt, responses }) => [prompt, responses[1].source])).toEqual([
    ['q1', 'B'],
    ['q2', 'B'],
    ['q3', 'B'],
  ])
  setScores(
    labels,
    project,
    'reward',
    tasks.map(({ id }, i) => ({ task: id, scores: [0, 2 - i] })),
  )
  expect(() => setScores(labels, project, 'reward', [{ task: tasks[0].id, scores: [1, 2, 3] }])).toThrow(/3 for the 2/)
  const task = (await owner('GET', `/projects/${project}/next`)).body
  expect(task.prompt).toBe('q3')
  await vote(owner, task, { preference: 1 })
  expect(await collect(currentValues(labels, project))).toMatchObject([
    { task: tasks[2].id, prompt: 'q3', votes: [{ annotator: 'owner', value: { preference: 1 } }] },
  ])
  expect(await collect(exportRows(labels, project, { form: 'preference', consensus: 'majority' }))).toMatchObject([
    { prompt: 'q3', chosen: 'b3', rejected: 'a3' },
  ])
})
