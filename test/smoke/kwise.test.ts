/** Plackett-Luce on ranked lists, end to end: with two responses it equals DPO, and lists of all shapes are learned. */
import { expect, it } from 'vitest'
import { dpo } from '../../src/recipes/dpo.ts'
import { eventsOf, ids, testFolder, train, weightsApart } from '../support/training.ts'

const { at, rows } = testFolder()

const pairs = Array.from({ length: 12 }, (_, i) => ({
  prompt: ids(3 * i, 3 + (i % 5)),
  chosen: ids(3 * i + 1, 2 + (i % 4)),
  rejected: ids(3 * i + 2, 2 + (i % 7)),
}))
const asRanking = ({ prompt, chosen, rejected }: (typeof pairs)[number], i: number) =>
  i % 2
    ? { prompt, responses: [chosen, rejected], ranks: [1, 2] }
    : { prompt, responses: [rejected, chosen], ranks: [2, 1] }

it.each([{ loraR: undefined }, { loraR: 4 }])(
  'on two responses plackett-luce trains the same weights as DPO: %o',
  async (lora) => {
    const name = `two-${lora.loraR}`
    const common = { ...lora, maxSteps: 6, learningRate: 3e-3 }
    const pairwise = await train(dpo, { ...common, data: await rows('pairs', pairs), output: at(`${name}-dpo`) })
    const data = await rows('rankings', pairs.map(asRanking))
    const list = await train(dpo, { ...common, data, loss: 'plackett-luce', output: at(`${name}-list`) })
    expect(pairwise.losses[0]).toBeCloseTo(Math.LN2, 6)
    expect(pairwise.losses.at(-1)).toBeLessThan(0.6)
    for (const [i, loss] of list.losses.entries()) expect(Math.abs(loss - pairwise.losses[i])).toBeLessThan(1e-6)
    expect(await weightsApart(at(`${name}-dpo`), at(`${name}-list`))).toBeLessThan(1e-6)
  },
)

it('of two responses the one without a rank is the rejected one', async () => {
  const unranked = pairs.map(({ prompt, chosen, rejected }) => ({
    prompt,
    responses: [rejected, chosen],
    ranks: [null, 1],
  }))
  const a = await train(dpo, { data: await rows('pairs', pairs), output: at('ranked') })
  const b = await train(dpo, { data: await rows('unranked', unranked), output: at('unranked') })
  expect(b.losses).toEqual(a.losses)
})

const ranks: (number | null)[][] = [
  [1, 2, 3],
  [2, 1],
  [3, 1, 2, 4],
  [1, 1, 2],
  [null, 1, 2, null],
  [9, 8, 7, 6, 5, 4, 3, 2, 1],
  [1, 2, 2, 2, 3],
  [null, 1],
  [1, 1, 1, 1, 1, 1, 2, 2],
  [2, 2, null, 1, 1],
]
const lists = ranks.map((row, i) => ({
  prompt: ids(40 * i, 4),
  responses: row.map((_, k) => ids(40 * i + k + 1, 2 + (k % 4))),
  ranks: row,
}))

it.each(['marginal', 'breslow'])(
  'learns lists of two to nine responses with ties and unranked ones: --ties %s',
  async (ties) => {
    const data = await rows('lists', lists)
    const settings = { data, ties, batchSize: 5, maxSteps: 16, learningRate: 3e-3 }
    const { losses, steps, events } = await train(dpo, { ...settings, output: at(`lists-${ties}`) })
    const epoch = (i: number) => losses[2 * i] + losses[2 * i + 1]
    expect(epoch(7)).toBeLessThan(0.6 * epoch(0))
    expect(steps.at(-1)!['rewards/accuracies']).toBeGreaterThan(0.9)
    expect(steps.at(-1)!['rewards/margins']).toBeGreaterThan(steps[0]['rewards/margins'] as number)
    // The token ids have no end token
    expect(eventsOf(events, 'warning').map(({ code }) => code)).toEqual(['no-stop'])
    expect(events[0]).toMatchObject({ event: 'start', objective: 'plackett-luce' })
  },
)

it('without dropout the first loss is the log of the number of orders', async () => {
  const data = await rows('three', lists.slice(0, 1))
  const { losses } = await train(dpo, { data, batchSize: 1, maxSteps: 1, output: at('orders') })
  expect(losses[0]).toBeCloseTo(Math.log(6), 5)
})

it('a loss on pairs drops and counts pairs of equal rank', async () => {
  const tie = { prompt: [5, 6], responses: [[7], [8]], ranks: [1, 1] }
  const data = await rows('ties', [...pairs.slice(0, 3).map(asRanking), tie])
  const { events } = await train(dpo, { data, maxSteps: 2, output: at('ties') })
  const dropped = events.filter((event) => event.event === 'warning' || event.event === 'start')
  expect(JSON.stringify(dropped)).toMatch(/"tie"/)
})
