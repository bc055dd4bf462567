/** What `--compute` refuses, by name: weights that are not finite, devices that have no such products, models elsewhere. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Backend } from '../src/runtime/backend.ts'
import { codeType } from '../src/runtime/codeType.ts'
import { fixture } from './support/golden.ts'
import { commandLine } from './support/inProcess.ts'
import { stories } from './support/runs.ts'
import { poisoned } from './support/scenarios.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-compute-'))
const at = (name: string) => join(root, name)
const attune = commandLine(at('cache'))
const server = 'http://localhost:9/v1'
beforeAll(() => {
  poisoned(at('nan'))
  writeFileSync(at('rows.jsonl'), '{"prompt":"Once","chosen":" upon a time","rejected":" more"}\n'.repeat(4))
})
afterAll(() => rmSync(root, { recursive: true }))

const rows = ['--data', at('rows.jsonl')]
const train = [...rows, '--max-steps', '1', '--output', at('run')]
const pairRanker = fixture('models/pair-ranker')
const notFinite = /--compute: model\.layers\.2\.mlp\.up_proj\.weight holds a value that is not finite/

it.each<[string, string[], RegExp]>([
  ['a NaN in a frozen weight', ['dpo', '--model', at('nan'), ...train, '--lora-r', '2'], notFinite],
  ['a NaN in a trained weight', ['dpo', '--model', at('nan'), ...train], notFinite],
  ['a NaN where a model generates', ['generate', '--model', at('nan'), '--prompt', 'Once'], notFinite],
  [
    'a NaN in a weight in 4 bits',
    ['generate', '--model', at('nan'), '--prompt', 'Once', '--quantize', 'nf4'],
    /model\.layers\.2\.mlp\.up_proj\.weight holds a value that is not finite/,
  ],
  [
    'a pair ranker',
    ['reward', '--kind', 'pair', '--model', pairRanker, ...train],
    /--compute: changes nothing with --kind pair/,
  ],
  ['a server that generates', ['generate', '--model', server, '--prompt', 'Once'], /--compute/],
  ['a server that judges', ['judge', '--judge', server, ...rows], /--compute: works only with local models/],
  [
    'a word that is no form',
    ['generate', '--model', stories, '--prompt', 'Once', '--compute', 'int4'],
    /--compute.*int8-fast/,
  ],
])('%s', async (_, argv, message) => {
  const { code, errors } = await attune(argv.includes('--compute') ? argv : [...argv, '--compute', 'int8'])
  expect(errors).toHaveLength(1)
  expect(errors[0]).toMatch(message)
  expect(code).toBe(2)
})

it.each(['webgpu', 'cuda'])('--device %s', async (provider) => {
  const backend = { description: { provider, threads: 1, version: '' } } as Backend
  await expect(codeType(backend)).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringContaining(
      `--compute: 8-bit products are computed on the CPU, not on ${provider}; add --device cpu`,
    ),
  })
})

/** A processor that adds up each product of one kind of codes wrongly. */
const wrongFor = (...types: string[]): Backend => {
  let last = ''
  const parts = {
    description: { provider: 'cpu', threads: 1, version: '' },
    put: (_: unknown, shape: readonly number[], dtype = 'f32') => ({ id: 0, shape, dtype }),
    load: () => ({ id: 0 }),
    run: (_: unknown, feeds: Record<string, { dtype: string }>) => {
      last = feeds.codes.dtype
      return { y: {} }
    },
    read: async () => Float32Array.of(127 * 64 - (types.includes(last) ? 3 : 0)),
    free: () => {},
  }
  return parts as unknown as Backend
}

it('a processor gets the codes that it multiplies exactly, or is refused', async () => {
  expect(await codeType(wrongFor())).toBe('s8')
  expect(await codeType(wrongFor('s8'))).toBe('u8')
  await expect(codeType(wrongFor('s8', 'u8'))).rejects.toMatchObject({
    code: 'no-int8',
    exitCode: 2,
    message: expect.stringContaining('leave --compute at fp32'),
  })
})
