import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixture } from '../../../test/support/golden.ts'
import { loadPretrained } from '../../models/load.node.ts'
import { paddingOf } from './padding.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'attune-padding-'))
})
afterAll(() => rm(dir, { recursive: true }))

const ids: Record<string, number> = { '<end>': 2, '<begin>': 1, '<unk>': 3, '<pad>': 4, '<far>': 500 }
const encoder = (eosId: number | undefined) => ({
  eosId,
  size: 8,
  encode: (text: string) => ({ ids: [ids[text]], offsets: [] }),
})

/** The padding token of a saved reward model: its id in config.json, its text in the tokenizer's files. */
const paddingFor = async (
  named: Record<string, string>,
  padId: number | null | undefined,
  eosId: number | undefined,
) => {
  await writeFile(join(dir, 'tokenizer_config.json'), JSON.stringify({ eos_token: '<end>', ...named }))
  const base = await loadPretrained(fixture('models/llama-tied'))
  const raw = { ...base.config.raw, pad_token_id: padId }
  const { applied, files } = await paddingOf(dir, encoder(eosId) as unknown as Parameters<typeof paddingOf>[1])
  const { config } = applied({ ...base, config: { ...base.config, raw } })
  const token = files['tokenizer_config.json'] && JSON.parse(files['tokenizer_config.json']).pad_token
  return { id: config.raw.pad_token_id, token }
}

describe('the padding token of a saved reward model', () => {
  it.each([
    ['its own padding token', { pad_token: '<pad>', unk_token: '<unk>' }, 0, { id: 4, token: undefined }],
    [
      'another token, where its own ends texts',
      { pad_token: '<end>', unk_token: '<unk>' },
      2,
      { id: 3, token: '<unk>' },
    ],
    ['the beginning-of-text token', { bos_token: '<begin>' }, undefined, { id: 1, token: '<begin>' }],
    [
      'none, where every token ends texts',
      { pad_token: '<end>', bos_token: '<end>' },
      2,
      { id: null, token: undefined },
    ],
    ["the config's, where the tokenizer names none", {}, 0, { id: 0, token: undefined }],
  ] as const)('is %s', async (_, named, padId, expected) => {
    expect(await paddingFor(named, padId, 2)).toEqual(expected)
  })

  it('stays as it is where the tokenizer has no end token', async () => {
    expect(await paddingFor({}, 2, undefined)).toEqual({ id: 2, token: undefined })
  })
})
