/**
 * Tokenizer files and texts that would fill memory or never end are refused with a named fault, and long texts of any
 * kind stay fast.
 */
import { describe, expect, it } from 'vitest'
import { bytesOf } from '../util/bytes.ts'
import { regexPattern, regexSearch } from './pattern.ts'
import { loadTokenizer } from './tokenizer.ts'

const plain = {
  type: 'BPE',
  vocab: { a: 0, b: 1, ' ': 2, '<unk>': 3 } as Record<string, number>,
  merges: [] as unknown,
}
const load = (parts: object, config?: object) => {
  const source = (name: string, content: object) => bytesOf(name, new TextEncoder().encode(JSON.stringify(content)))
  return loadTokenizer({
    tokenizerJson: source('tokenizer.json', { added_tokens: [], model: plain, ...parts }),
    tokenizerConfig: config && source('tokenizer_config.json', config),
  })
}
const replace = (from: string, to: string) => ({ type: 'Replace', pattern: { String: from }, content: to })
const repeat = <T>(count: number, item: T): T[] => new Array(count).fill(item)
const runs = (longest: number) =>
  Object.fromEntries(Array.from({ length: longest }, (_, i) => ['a'.repeat(i + 1), i] as const))

describe('hostile tokenizers', () => {
  const ten = { type: 'Sequence', normalizers: repeat(10, replace('a', 'aaaaaaaaaa')) }
  const doublings = { type: 'Sequence', normalizers: repeat(30, replace('a', 'aa')) }
  it.each<[string, object, string, RegExp]>([
    [
      'ten replacements',
      { normalizer: ten },
      'aaaa',
      /^tokenizer\.json: its steps make more than 256 times a text of 4/,
    ],
    ['thirty doublings', { normalizer: doublings }, 'a', /steps make more/],
    [
      'a replacement by a long text, often',
      { normalizer: replace('', 'x'), pre_tokenizer: { type: 'Metaspace', replacement: 'x'.repeat(100_000) } },
      ' '.repeat(10_000),
      /steps make more/,
    ],
    [
      'long prepends',
      { normalizer: { type: 'Sequence', normalizers: repeat(90, { type: 'Prepend', prepend: 'x'.repeat(1e5) }) } },
      'a',
      /steps make more/,
    ],
    [
      'a pattern for ever',
      { pre_tokenizer: { type: 'Split', pattern: { Regex: '(?>a*)b|.' }, behavior: 'Isolated' } },
      'a'.repeat(2000),
      /takes too long/,
    ],
    [
      'a word that begins a long entry everywhere',
      {
        model: {
          type: 'WordPiece',
          vocab: { a: 0, [`${'a'.repeat(3000)}c`]: 1 },
          unk_token: 'a',
          continuing_subword_prefix: '',
          max_input_chars_per_word: 1e9,
        },
      },
      'a'.repeat(10_000),
      /vocabulary that takes too long/,
    ],
    [
      'entries of ever longer runs',
      { model: { type: 'Unigram', vocab: Object.entries(runs(2000)), unk_id: 0 } },
      'a'.repeat(10_000),
      /vocabulary that takes too long/,
    ],
  ])('refuses %s when it meets the text', async (_, parts, text, message) => {
    const tok = await load(parts)
    expect(() => tok.encode(text)).toThrow(message)
    expect(() => tok.encode(text)).toThrow(expect.objectContaining({ name: 'Fault', exitCode: 2 }))
  })

  it('refuses decoders that grow', async () => {
    const tok = await load({ decoder: { type: 'Sequence', decoders: repeat(10, replace('a', 'aaaaaaaaaa')) } })
    expect(() => tok.decode([0, 0])).toThrow(/steps make more/)
    expect(() => tok.stream().push(0)).toThrow(/steps make more/)
  })

  it.each<[string, object, RegExp]>([
    [
      '100,000 prepends',
      { normalizer: { type: 'Sequence', normalizers: repeat(100_000, { type: 'Prepend', prepend: 'a' }) } },
      /normalizer has more than 100 steps/,
    ],
    [
      'many nested steps',
      { decoder: { type: 'Sequence', decoders: repeat(60, { type: 'Sequence', decoders: [{ type: 'Fuse' }] }) } },
      /decoder has more than 100 steps/,
    ],
    ['a long affix', { model: { ...plain, end_of_word_suffix: 'w'.repeat(1e6) } }, /end_of_word_suffix has more than/],
    ['chance', { model: { ...plain, dropout: 0.1 } }, /model\.dropout would cut texts by chance/],
    [
      'a template of many tokens',
      {
        post_processor: {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: 'a', type_id: 0 } }],
          pair: [],
          special_tokens: { a: { ids: repeat(1e5, 0) } },
        },
      },
      /special_tokens\.a\.ids adds more than 1000 tokens/,
    ],
  ])('refuses %s in the file', async (_, parts, message) => {
    await expect(load(parts)).rejects.toThrow(message)
  })

  it('reads 30,000 added tokens at once', async () => {
    const added = Array.from({ length: 30_000 }, (_, i) => ({ id: i + 4, content: `<t${i}>`, normalized: i % 2 > 0 }))
    const tok = await load({ added_tokens: added, normalizer: { type: 'NFKC' } })
    expect(tok.encode('a<t7><t29999>b').ids).toEqual([0, 11, 30_003, 1])
  })
})

describe('hostile patterns', () => {
  it.each<[string, string, RegExp]>([
    ['100,000 characters', 'a'.repeat(100_000), /has 100000 characters; at most 10000/],
    ['nested groups', '('.repeat(5000), /nests deeper than 100/],
    ['stacked quantifiers', `a${'{1}'.repeat(3000)}`, /repeats a repeat/],
    ['many steps', '(((a{9}){9}){9}){90}', /needs more than 20000 steps/],
    ['a class backwards', '[b-a]', /class that is not understood/],
  ])('refuses %s', (_, source, message) => {
    expect(() => regexPattern(source)).toThrow(message)
    expect(() => regexPattern(source)).toThrow(expect.objectContaining({ name: 'Fault' }))
    expect(() => regexSearch(source)).toThrow(expect.objectContaining({ name: 'Fault' }))
  })

  it('counts nothing often without time', () => {
    expect(regexPattern('(){9999999}a')('ba')).toEqual([1, 2])
  })
})

describe('regexSearch', () => {
  const texts = [
    '',
    'a',
    'ab\ncd',
    'Foo_1 bar',
    'é\u2028x',
    '12.50 EUR',
    'aaa!',
    'K\u212a',
    'x\ty',
    '\ud83d\ude00!',
    '^a$',
    'b-]',
  ]
  it.each<[string, string]>([
    ['^a', ''],
    ['^cd$', 'm'],
    ['^cd$', ''],
    ['b.c', ''],
    ['b.c', 's'],
    ['foo_\\d', 'i'],
    ['\\bbar\\b', 'u'],
    ['\\B1', ''],
    ['^\\w+?\\s\\w+$', ''],
    ['(?:a{2,3}?)!$', ''],
    ['[^\\w\\s.]', ''],
    ['k{2}', 'iu'],
    ['\\d+(?:\\.\\d{2})? (?=EUR)', ''],
    ['(?<!\\d)\\.', ''],
    ['(?<name>a|b)+!', ''],
    ['\\x61\\u0062', ''],
    ['^.!$', 'u'],
    ['[\\]^-]', ''],
    ['[]', ''],
    ['[^]', ''],
    ['a{,3}', ''],
    ['\\p{Lu}', 'u'],
  ])('finds /%s/%s where JavaScript does', (source, flags) => {
    const own = regexSearch(source, flags)
    const native = new RegExp(source, flags)
    expect(texts.map((text) => own(text))).toEqual(texts.map((text) => native.test(text)))
  })

  it.each(['^(.*?){20}~$', '(\\w+\\s?)+~', '(a+)+$', '(a|aa)+$'])(
    'answers %s on a text that hangs JavaScript',
    (source) => {
      expect(regexSearch(source)(`${'a'.repeat(5000)}!`)).toBe(false)
    },
  )

  it.each(['(a)\\1', '\\k<x>', '(a*)*', '(?<=a+)b', '(', 'a**'])('refuses %s', (source) => {
    expect(() => regexSearch(source)).toThrow(expect.objectContaining({ code: 'bad-pattern' }))
  })
  it('refuses flags of state', () => {
    expect(() => regexSearch('a', 'g')).toThrow(/flag "g" is not understood/)
  })
})
