/** Beam search compared with transformers: sequences in order, and their scores. */
import { afterAll, describe, expect, it } from 'vitest'
import { beamSearch } from '../../src/generate/beams.ts'
import { openBackend } from '../../src/runtime/open.node.ts'
import { collect } from '../support/collect.ts'
import { fixtureJson } from '../support/golden.ts'
import { goldenModel } from '../support/model.ts'

type Case = {
  model: string
  prompt: number[]
  num_beams: number
  length_penalty: number
  early_stopping: boolean | 'never'
  eos: number[]
  max_new_tokens: number
  repetition_penalty?: number
  min_new_tokens?: number
  sequences: number[][]
  scores: number[]
}

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())
const { cases } = (await fixtureJson('models/beams.json')) as { cases: Case[] }

describe.each([...new Set(cases.map(({ model }) => model))])('beam search of %s equals transformers', async (name) => {
  const model = await goldenModel(backend, name)
  it.each(cases.filter((each) => each.model === name))(
    '$num_beams beams, penalty $length_penalty, early stopping $early_stopping',
    async (golden) => {
      const options = {
        numBeams: golden.num_beams,
        samples: golden.num_beams,
        lengthPenalty: golden.length_penalty,
        earlyStopping: golden.early_stopping,
        maxNewTokens: golden.max_new_tokens,
        eosIds: new Set(golden.eos),
        repetitionPenalty: golden.repetition_penalty,
        minNewTokens: golden.min_new_tokens,
        temperature: 1,
      }
      const found = await collect(beamSearch(model, undefined, [golden.prompt], options))
      expect(found.map(({ ids }) => ids)).toEqual(golden.sequences)
      if (golden.repetition_penalty) return
      const scores = found.map(({ logps }) => logps.reduce((a, b) => a + b, 0) / logps.length ** golden.length_penalty)
      for (const [i, score] of scores.entries())
        expect(Math.abs(score - golden.scores[i])).toBeLessThan(2e-5 * (1 + Math.abs(score)))
    },
  )
})
