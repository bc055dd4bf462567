import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePrompt } from '../data/examples.ts'
import { bytesOf } from '../util/bytes.ts'
import { loadTokenizerFolder, noTokenizer } from './tokenizer.node.ts'
import { loadTokenizer } from './tokenizer.ts'

const special = (id: number, content: string) => ({ id, content, special: true, normalized: false })
const file = {
  version: '1.0',
  added_tokens: [special(0, '<s>'), special(1, '</s>'), special(2, '[PAD]')],
  normalizer: null as object | null,
  pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithNext', invert: false } as object,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  } as object | null,
  decoder: { type: 'Fuse' },
  model: {
    type: 'BPE',
    unk_token: null,
    vocab: { '<s>': 0, '</s>': 1, '[PAD]': 2, a: 3, b: 4, ' ': 5, ab: 6, ' ab': 7, __proto__: 8 } as Record<
      string,
      number
    >,
    merges: ['a b', [' ', 'ab']] as unknown[],
  } as object,
}
const config = { bos_token: '<s>', eos_token: { content: '</s>' }, pad_token: null }

const source = (name: string, content: unknown) =>
  bytesOf(name, new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content)))
const load = (json: unknown, more: object = config) =>
  loadTokenizer({
    tokenizerJson: source('tokenizer.json', json),
    tokenizerConfig: source('tokenizer_config.json', more),
  })

describe('loadTokenizer', () => {
  it('reads names, and BOS from the post-processor alone', async () => {
    const tok = await load(file)
    expect(tok).toMatchObject({
      size: 8,
      bosId: 0,
      eosId: 1,
      padId: undefined,
      unkId: undefined,
      addsBos: true,
      chat: undefined,
    })
    expect(tok.encode('ab ab</s>')).toEqual({
      ids: [0, 6, 7, 1],
      tokens: ['<s>', 'ab', ' ab', '</s>'],
      offsets: [
        [0, 0],
        [0, 2],
        [2, 5],
        [5, 9],
      ],
    })
    expect(tok.isSpecial(1)).toBe(true)
    expect(tok.isSpecial(6)).toBe(false)
    expect((await load(file, { ...config, add_bos_token: false, add_eos_token: true })).encode('ab').ids).toEqual([
      0, 6,
    ])
    expect((await load({ ...file, post_processor: null }, { ...config, add_bos_token: true })).addsBos).toBe(false)
  })

  it.each<[string, object[], object, boolean]>([
    ['EOS behind', [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }], config, true],
    [
      'another token behind',
      [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '[PAD]', type_id: 0 } }],
      config,
      false,
    ],
    // BOS and EOS are one token, which stands in front
    [
      'one token for both',
      [{ SpecialToken: { id: '</s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      { bos_token: '</s>', eos_token: '</s>' },
      false,
    ],
  ])('knows whether EOS is put behind a text: %s', async (_, single, named, adds) => {
    const tokens = { '</s>': 1, '[PAD]': 2 }
    const special_tokens = Object.fromEntries(
      Object.entries(tokens).map(([name, id]) => [name, { id: name, ids: [id], tokens: [name] }]),
    )
    const { add_bos_token: _bos, ...names } = { add_bos_token: true, ...named }
    const tok = await load(
      { ...file, post_processor: { type: 'TemplateProcessing', single, pair: single, special_tokens } },
      names,
    )
    expect(tok.addsEos).toBe(adds)
    const prompt = encodePrompt(tok, 'ab</s>')
    // What stands in the text stays; what was put behind it goes, if it is EOS
    expect(prompt).toEqual(tok.encode('ab</s>').ids.slice(0, adds ? -1 : undefined))
    expect(prompt.includes(6)).toBe(true)
    expect(prompt[prompt.indexOf(6) + 1]).toBe(1)
  })

  it('adds named tokens that are new behind the vocabulary', async () => {
    const tok = await load(file, { ...config, mask_token: '<m>', extra_special_tokens: ['<x>'] })
    expect([tok.tokenToId('<m>'), tok.tokenToId('<x>'), tok.size]).toEqual([8, 9, 10])
    expect(tok.encode('a<x>', { specialTokens: false }).ids).toEqual([3, 9])
  })

  it('counts offsets in code points and replaces unpaired surrogates', async () => {
    const tok = await load({ ...file, normalizer: { type: 'Replace', pattern: { String: '😀' }, content: 'a' } })
    expect(tok.encode('😀b\ud83d😀', { specialTokens: false }).offsets).toEqual([
      [0, 2],
      [3, 4],
    ])
  })

  it.each([
    ['no JSON', '{"model":', /tokenizer\.json, line 1: is not valid JSON/],
    ['no object', '[]', /tokenizer\.json.*object/],
    [
      'a wrong vocabulary',
      { ...file, model: { type: 'BPE', vocab: { a: -1 }, merges: [] } },
      /tokenizer\.json: model\.vocab.*id -1/,
    ],
    [
      'a merge of the unknown',
      { ...file, model: { type: 'BPE', vocab: { a: 0 }, merges: ['a z'] } },
      /model\.merges has an entry 0/,
    ],
    ['an unknown model', { ...file, model: { type: 'Magic' } }, /model is of the unknown type Magic/],
    ['an unknown step', { ...file, pre_tokenizer: { type: 'constructor' } }, /pre_tokenizer is of the unknown type/],
    [
      'a broken pattern',
      { ...file, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' } },
      /tokenizer\.json: pre_tokenizer\.pattern is refused/,
    ],
    [
      'a broken character map',
      { ...file, normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } },
      /no character map/,
    ],
    [
      'an unknown unknown token',
      { ...file, model: { type: 'WordLevel', vocab: {}, unk_token: 'x' } },
      /unk_token is not in the vocabulary/,
    ],
    ['bytes that are no UTF-8', undefined, /not UTF-8/],
  ])('names the file for %s', async (_, json, message) => {
    const tokenizerJson =
      json === undefined ? bytesOf('tokenizer.json', Uint8Array.of(0xff, 0xfe)) : source('tokenizer.json', json)
    await expect(loadTokenizer({ tokenizerJson })).rejects.toMatchObject({
      name: 'Fault',
      exitCode: 2,
      message: expect.stringMatching(message),
    })
  })

  it('refuses steps inside steps without end', async () => {
    const nest = (depth: number) => `${'{"type":"Sequence","normalizers":['.repeat(depth)}${']}'.repeat(depth)}`
    const json = JSON.stringify(file).replace('"normalizer":null', `"normalizer":${nest(20_000)}`)
    await expect(load(json)).rejects.toMatchObject({ name: 'Fault' })
  })

  it('encodes two thousand characters in far less than 20 ms', async () => {
    const tok = await load(file)
    const text = 'ab a b '.repeat(300)
    const times = Array.from({ length: 20 }, () => {
      const start = performance.now()
      tok.encode(text)
      return performance.now() - start
    })
    expect(Math.min(...times)).toBeLessThan(20)
  })
})

describe('loadTokenizerFolder', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-text-'))
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(file))
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template: 'from config' }))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const rendered = async (options = {}) =>
    (await loadTokenizerFolder(folder))!.chat!.render([{ role: 'user', content: 'a' }], options).text

  it('is undefined without tokenizer.json', async () => {
    const other = await mkdtemp(join(tmpdir(), 'attune-text-'))
    await writeFile(join(other, 'spiece.model'), '')
    expect(await loadTokenizerFolder(other)).toBeUndefined()
    expect(noTokenizer(other).message).toMatch(
      /has no tokenizer\.json, and attune does not read spiece\.model; make one/,
    )
    await rm(other, { recursive: true })
  })

  it('takes the template of the config, then of chat_template.jinja, and names others', async () => {
    expect(await rendered()).toBe('from config')
    await writeFile(join(folder, 'chat_template.jinja'), 'from jinja')
    await mkdir(join(folder, 'additional_chat_templates'))
    await writeFile(join(folder, 'additional_chat_templates', 'tool_use.jinja'), 'with {{ tools | length }} tools')
    expect(await rendered()).toBe('from jinja')
    expect(await rendered({ tools: [{}] })).toBe('with 1 tools')
    expect(await rendered({ tools: [{}], template: 'default' })).toBe('from jinja')
    await expect(rendered({ template: 'rag' })).rejects.toThrow(/no chat template rag; it has default, tool_use/)
  })

  it('falls back to chat_template.json', async () => {
    await rm(join(folder, 'chat_template.jinja'))
    await rm(join(folder, 'additional_chat_templates'), { recursive: true })
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
    await writeFile(
      join(folder, 'chat_template.json'),
      JSON.stringify({ chat_template: [{ name: 'default', template: 'from json' }] }),
    )
    expect(await rendered()).toBe('from json')
  })
})
