import { afterAll, describe, expect, it } from 'vitest'
import { largestDifference } from '../../test/support/golden.ts'
import { goldenModel } from '../../test/support/model.ts'
import { partsOf } from '../passes/layout.ts'
import { openBackend } from '../runtime/open.node.ts'
import { chunkedPrefill } from './chunkedPrefill.ts'
import { closeDecoder, openDecoder, prefill, step } from './decode.ts'
import { readsByLayer } from './readPrompts.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

describe('a prompt read in chunks', () => {
  it.each(['llama-gqa-untied', 'mistral-sliding', 'gemma2', 'gemma4', 'gpt2', 'lfm2-biased', 'qwen3.5'])(
    'ends as one read whole: %s',
    async (name) => {
      const model = await goldenModel(backend, name)
      const prompt = { ids: Array.from({ length: 23 }, (_, i) => 3 + ((7 * i) % 50)), copies: 2 }
      const before = { ids: [4, 5, 6], copies: 1 }
      const [whole, chunked] = [openDecoder(model), openDecoder(model)]
      for (const decoder of [whole, chunked]) backend.free([prefill(decoder, [before])])
      const [expected, made] = [prefill(whole, [prompt]), chunkedPrefill(chunked, prompt, 10)]
      expect(made.shape).toEqual(expected.shape)
      expect(largestDifference(await backend.read(made), await backend.read(expected))).toBeLessThan(1e-4)
      expect(chunked.cache.lengths).toEqual(whole.cache.lengths)
      const [after, same] = [step(whole, [7, 8, 9]), step(chunked, [7, 8, 9])]
      expect(largestDifference(await backend.read(same), await backend.read(after))).toBeLessThan(1e-4)
      for (const decoder of [whole, chunked]) closeDecoder(decoder)
    },
  )

  it.each(['llama-gqa-untied', 'mistral-sliding', 'gemma2', 'gemma4', 'gpt-oss'])(
    'ends as a long one read by layers, whose rows are computed in parts: %s',
    async (name) => {
      const short = await goldenModel(backend, name)
      const model = { ...short, config: { ...short.config, max_position_embeddings: 256 } }
      const prompt = { ids: Array.from({ length: 150 }, (_, i) => 3 + ((7 * i) % 50)), copies: 2 }
      expect(readsByLayer(model) && partsOf(model, 192)).toBe(4)
      const [parts, chunked] = [openDecoder(model), openDecoder(model)]
      const [made, expected] = [prefill(parts, [prompt]), chunkedPrefill(chunked, prompt)]
      expect(made.shape).toEqual(expected.shape)
      expect(largestDifference(await backend.read(made), await backend.read(expected))).toBeLessThan(1e-4)
      const [after, same] = [step(chunked, [7, 8]), step(parts, [7, 8])]
      expect(largestDifference(await backend.read(same), await backend.read(after))).toBeLessThan(1e-4)
      for (const decoder of [parts, chunked]) closeDecoder(decoder)
    },
  )
})
