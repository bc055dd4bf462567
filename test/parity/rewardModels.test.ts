/** Score heads compared with transformers: scores at the last and at every token, and the gradient of each parameter. */
import { afterAll, describe, expect, it } from 'vitest'
import { packs } from '../../src/data/batch.ts'
import { scoresAlong, scoresOf } from '../../src/passes/scores.ts'
import type { Plan } from '../../src/passes/stack.ts'
import { openBackend } from '../../src/runtime/open.node.ts'
import type { LossFunction } from '../../src/train/loss.ts'
import { trainMicro } from '../../src/train/micro.ts'
import { fixtureJson, fixtureTensors, largestDifference } from '../support/golden.ts'
import { goldenModel } from '../support/model.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

/** The losses of the goldens on scores [4, K]. Rows 0 and 1 are chosen, 2 and 3 rejected. */
const goldenLoss = (K: number): LossFunction => ({
  name: 'golden',
  stats: ['scores'],
  trace: ({ scores, array }) => {
    const s = scores.scatterAdd(array('sequence', ['M'], 'i64'), 4)
    const [chosen, rejected] = [s.slice(0, 0, 2), s.slice(0, 2, 4)]
    if (K === 1) return { loss: chosen.sub(rejected).neg().exp().add(1).log().mean(), metrics: {} }
    const [pw, pl] = [chosen, rejected].map((x) => x.sub(x.amax(-1, true)).exp()).map((e) => e.div(e.sum(-1, true)))
    const above = Array.from({ length: K - 1 }, (_, j) =>
      pl.slice(1, j, j + 1).mul(pw.slice(1, j + 1, K).sum(-1, true)),
    ).reduce((a, b) => a.add(b))
    return { loss: above.log().neg().mean(), metrics: {} }
  },
})

describe.each(['llama-reward', 'llama-reward-10'])('%s equals transformers', async (name) => {
  const golden = await fixtureTensors(`models/${name}/golden.safetensors`)
  const model = await goldenModel(backend, name)
  const [B, T] = golden.shape('input_ids')
  const K = model.config.num_labels
  const [ids, mask] = [await golden.ints('input_ids'), await golden.ints('attention_mask')]
  const rows = Array.from({ length: B }, (_, b) =>
    ids.slice(b * T, (b + 1) * T).filter((_, t) => mask[b * T + t] === 1),
  )
  const trees = rows.map((row) => ({ trunk: [], branches: [row] }))

  it('in the score at the last token, whatever shares the pass', async () => {
    const wanted = await golden.floats('logits')
    const scores = await scoresOf(model, trees)
    expect(largestDifference(scores.flat(2), wanted)).toBeLessThan(1e-4)
    const alone = await Promise.all(trees.map((tree) => scoresOf(model, [tree])))
    expect(largestDifference(alone.flat(3), wanted)).toBeLessThan(1e-4)
    // The first three tokens as prompt, and the whole row as prompt
    for (const cut of [3, rows[0].length]) {
      const split = await scoresOf(model, [{ trunk: rows[0].slice(0, cut), branches: [rows[0].slice(cut)] }])
      expect(largestDifference(split.flat(2), wanted.subarray(0, K))).toBeLessThan(1e-4)
    }
  })

  it('in the score of every token', async () => {
    const wanted = await golden.floats('token_logits')
    const along = await scoresAlong(model, trees)
    along.forEach(([tokens], b) => {
      expect(tokens.length).toBe(rows[b].length)
      expect(largestDifference(tokens.flat(), wanted.subarray(b * T * K, (b * T + tokens.length) * K))).toBeLessThan(
        1e-4,
      )
    })
  })

  it('with the config.json of transformers 4 too', async () => {
    const old = await goldenModel(backend, name, 'config.v4.json')
    expect(old.config.num_labels).toBe(K)
    expect(old.config.rope).toEqual(model.config.rope)
  })

  it.each<Plan>(['fast', 'low'])('in loss and gradients, with --memory %s', async (plan) => {
    const gradients = new Map([...model.params].map(([key, { shape }]) => [key, backend.zeros(shape)]))
    const batch = { packs: packs(trees, 1, 'last'), arrays: {}, weight: 2 }
    const { vector } = trainMicro(model, batch, goldenLoss(K), plan, gradients, 0)
    const { loss } = await fixtureJson(`models/${name}/golden.json`)
    expect((await backend.read(vector))[0]).toBeCloseTo(loss, 5)
    for (const [key, handle] of gradients) {
      const expected = await golden.floats(`grad.${key}`)
      const largest = Math.max(...expected.map(Math.abs))
      expect(largestDifference(await backend.read(handle), expected), key).toBeLessThan(1e-4 * largest)
    }
  })
})
