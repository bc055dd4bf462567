/** The agreement page counts as src/feedback/agreement does, however votes came and changed. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Client, openLabelling } from '../../../test/support/labelling.ts'
import { agreement } from '../../feedback/agreement/agreement.ts'
import { rankingInput } from '../../feedback/agreement/inputs.ts'
import { rng } from '../../util/rng.ts'
import type { Agreement, ProjectSettings, TaskView } from './api.ts'

let studio: ReturnType<typeof openLabelling>
beforeEach(() => {
  studio = openLabelling()
})
afterEach(() => studio.close())

const page = async (project: number): Promise<Agreement> =>
  (await studio.owner('GET', `/projects/${project}/agreement`)).body

const people = async (project: number, names: string[]) => {
  const clients: Client[] = []
  for (const name of names) clients.push(await studio.annotator(name, [project]))
  return clients
}

it('is that of the votes: kappa, alpha, tau, with ties and unranked responses', async () => {
  const project = await studio.project({ mode: 'rank', overlap: 3, seed: 1 }, 12, 4)
  const random = rng(3)
  let at = 0
  const votes = new Map<string, { ranks: (number | null)[]; annotator: string }[]>()
  const names = ['Ann', 'Bob', 'Cid']
  for (const [i, client] of (await people(project, names)).entries())
    for (let n = 0; n < 12; n++) {
      const task: TaskView = (await client('GET', `/projects/${project}/next`)).body
      const quality = [0, 1, 2, 3].map((own) => own + Math.floor(3 * random.uniform(at++)))
      const ranks = quality.map((own) => 1 + quality.filter((other) => other < own).length) as (number | null)[]
      if (n % 4 === i) ranks[ranks.indexOf(Math.max(...(ranks as number[])))] = null
      // One changes their mind first
      if (n === 2) {
        await studio.vote(client, task, { ranks: [1, 2, 3, 4] })
        await page(project)
        task.version = 1
      }
      await studio.vote(client, task, { ranks })
      votes.set(String(task.prompt), [...(votes.get(String(task.prompt)) ?? []), { ranks, annotator: names[i] }])
    }
  const expected = agreement(
    rankingInput(
      Array.from(votes, ([prompt, of]) => ({
        prompt,
        responses: ['a', 'b', 'c', 'd'],
        votes: of.map(({ ranks, annotator }) => ({ ranks, vote: { annotator } })),
      })),
      'votes',
    ),
  )
  const found = await page(project)
  expect(found).toMatchObject({ tasks: 12, votes: 36 })
  for (const [name, own] of [
    ['kappa', 'kappa'],
    ['alpha_nominal', 'alphaNominal'],
    ['alpha_ordinal', 'alphaOrdinal'],
    ['tau_b', 'tauB'],
  ] as const) {
    expect(found[own].value, own).toBeCloseTo(expected.figures[name], 10)
    // Other resamples, of the same items
    expect(found[own].low, own).toBeCloseTo(expected.intervals[name].low, 0)
    expect(found[own].low! < found[own].value! && found[own].value! < found[own].high!).toBe(true)
  }
  studio.reopen()
  expect(await page(project)).toEqual(found)
})

it('tells speed and biases of each annotator', async () => {
  const project = await studio.project({ mode: 'pair', overlap: 3 }, 0)
  const rows = Array.from({ length: 12 }, (_, i) => ({
    prompt: `q${i}`,
    responses: [{ text: `short ${i}` }, { text: `long ${i} `.repeat(20) }],
  }))
  await studio.owner('POST', `/projects/${project}/import`, { requestId: studio.requestId(), rows })
  const [first, long, other] = await people(project, ['First', 'Long', 'Other'])
  const label = async (client: Client, choose: (task: TaskView) => number, seconds: number) => {
    for (let i = 0; i < 12; i++) {
      const task: TaskView = (await client('GET', `/projects/${project}/next`)).body
      await studio.vote(client, task, { preference: choose(task) === 0 ? -1 : 1 }, { seconds })
    }
  }
  await label(first, ({ shown }) => shown[0], 3)
  await label(long, () => 1, 9)
  await label(other, () => 1, 6)
  const { annotators } = await page(project)
  const of = (name: string) => annotators.find((one) => one.name === name)!
  expect(of('First')).toMatchObject({ votes: 12, seconds: 3, first: { value: 1 } })
  expect(of('Long')).toMatchObject({ seconds: 9, longer: { value: 1 }, gold: { right: 0, asked: 0 }, withSelf: null })
  expect(of('Long').first.value).toBeLessThan(1)
  expect(of('Long').agreement).toBe(1)
  expect(of('First').agreement).toBe(of('First').longer.value)
})

it.each<[string, Partial<ProjectSettings>, object, object]>([
  ['good', { mode: 'good' }, { good: true }, { good: false }],
  [
    'rate',
    { mode: 'rate', scales: [{ name: 'kind', min: 1, max: 5 }] },
    { ratings: [{ kind: 5 }, { kind: 1 }] },
    { ratings: [{ kind: 4 }, { kind: 2 }] },
  ],
  ['best', { mode: 'best' }, { ranks: [1, null] }, { ranks: [null, 1] }],
])('is there in mode %s', async (mode, settings, one, two) => {
  const project = await studio.project({ ...settings, overlap: 2 }, 6, mode === 'good' ? 1 : 2)
  const [ann, bob] = await people(project, ['Ann', 'Bob'])
  for (let i = 0; i < 6; i++) {
    await studio.vote(ann, (await ann('GET', `/projects/${project}/next`)).body, i % 2 ? one : two)
    await studio.vote(bob, (await bob('GET', `/projects/${project}/next`)).body, i < 4 === (i % 2 === 1) ? one : two)
  }
  const { kappa, alphaNominal, tasks } = await page(project)
  expect(tasks).toBe(6)
  if (mode === 'rate') expect((await page(project)).alphaOrdinal.value).toBeGreaterThan(0.5)
  else {
    expect(kappa.value).toBeLessThan(1)
    expect(alphaNominal.value).toBeGreaterThan(0)
  }
})

it('of no votes, or of one person, is empty and no error', async () => {
  const project = await studio.project({}, 2)
  expect(await page(project)).toMatchObject({
    tasks: 0,
    votes: 0,
    kappa: { value: null, low: null, high: null },
    annotators: [],
  })
  await studio.vote(studio.owner, (await studio.owner('GET', `/projects/${project}/next`)).body, { ranks: [1, 2] })
  expect(await page(project)).toMatchObject({
    tasks: 0,
    votes: 1,
    tauB: { value: null },
    annotators: [{ name: 'owner', votes: 1 }],
  })
})
