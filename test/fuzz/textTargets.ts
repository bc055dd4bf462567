/** Fuzz targets for tokenizers, regular expressions and chat templates. */
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { compileTemplate, renderTemplate } from '../../src/text/jinja/render.ts'
import { linearPattern } from '../../src/text/pattern.ts'
import { loadTokenizer } from '../../src/text/tokenizer.ts'
import { bytesOf } from '../../src/util/bytes.ts'
import { changedText, speech } from './mutate.ts'
import type { Target } from './targets.ts'

const fixtures = new URL('../fixtures/text/', import.meta.url)
const unzipped = (folder: string): Record<string, unknown>[] =>
  readdirSync(new URL(folder, fixtures)).map((name) =>
    JSON.parse(gunzipSync(readFileSync(new URL(`${folder}/${name}`, fixtures))).toString()),
  )

// ---- tokenizers --------------------------------------------------------------------------------------------------------

type Json = Record<string, unknown>

/** A tokenizer file with a vocabulary of 80 tokens, which loads thousands of times per second. */
const small = (file: Json): Json => {
  const model = { ...(file.model as Json) }
  const first = <T>(list: T[] | undefined) => list?.slice(0, 80)
  if (Array.isArray(model.vocab)) model.vocab = first(model.vocab)
  else model.vocab = Object.fromEntries(Object.entries(model.vocab as Json).slice(0, 80))
  const known = (token: string) => Object.hasOwn(model.vocab as Json, token)
  if (Array.isArray(model.merges))
    model.merges = (model.merges as (string | string[])[])
      .filter((merge) => {
        const pair = typeof merge === 'string' ? merge.split(' ') : merge
        return pair.every(known) && known(pair.join(''))
      })
      .slice(0, 40)
  return { ...file, model, added_tokens: first(file.added_tokens as Json[])?.slice(0, 4) }
}
const tokenizers = unzipped('tokenizers')
  .map((file) => small(file['tokenizer.json'] as Json))
  .filter((file) => JSON.stringify(file).length < 20_000)
const pieces = [
  'NFC',
  'Lowercase',
  'Replace',
  'Prepend',
  'Sequence',
  'Split',
  'Digits',
  'ByteLevel',
  'Metaspace',
  'Regex',
  'String',
  'BPE',
  'Unigram',
  'WordPiece',
  '(a+)+',
  '\\s+',
  '',
  '▁',
  'Ġ',
  'content',
  'pattern',
  'type',
  'normalizers',
]
const samples = ['Hello, world! 12 345', ' é😀\u0000\t\n<|endoftext|>', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '']

// ---- regular expressions -----------------------------------------------------------------------------------------------

const regexWords = [
  'a',
  'b',
  '.',
  '*',
  '+',
  '?',
  '(',
  ')',
  '(?:',
  '(?!',
  '(?=',
  '(?i:',
  '[',
  ']',
  '[^',
  '-',
  '|',
  '\\p{L}',
  '\\p{N}',
  '\\s',
  '\\S',
  '\\d',
  '\\w',
  '\\b',
  '{2,3}',
  '{0}',
  '{1,1000}',
  '^',
  '$',
  '\\',
  '\\u0041',
  '\\x{41}',
  '(?<=',
  '(?<n>',
  '*?',
  '++',
  '&&',
]

// ---- templates ---------------------------------------------------------------------------------------------------------

const templates = [
  ...(JSON.parse(readFileSync(new URL('jinja.json', fixtures), 'utf8')) as { template: string }[]).map(
    ({ template }) => template,
  ),
  ...unzipped('chat').map(({ template }) => String(template)),
].map((text) => Buffer.from(text))
const jinjaWords = [
  ...[
    '{{ ',
    ' }}',
    '{% ',
    ' %}',
    '{%- ',
    ' -%}',
    'if ',
    'else',
    'endif',
    'for m in messages',
    'endfor',
    'set x = ',
    'endset',
  ],
  ...[
    'macro f(a)',
    'endmacro',
    'f(1)',
    'messages',
    'm.content',
    "m['role']",
    '|',
    'tojson',
    'length',
    'join',
    'trim',
    'list',
  ],
  ...[
    'indent(-2)',
    'batch(2)',
    'slice(3)',
    'sort',
    'groupby("role")',
    'map(attribute="role")',
    'selectattr("role")',
    'dictsort',
  ],
  ...[
    'range(9999)',
    'namespace(a=1)',
    'loop.index',
    'cycler',
    '*',
    '**',
    '//',
    '%',
    '~',
    '+',
    '-',
    '9999999',
    '1.5',
    '"x"',
    '[]',
  ],
  ...[
    '[1,2]',
    '{"a": 1}',
    '(',
    ')',
    ',',
    '.',
    ':',
    '[0]',
    '[::-1]',
    ' is defined',
    ' is none',
    ' in ',
    ' not ',
    ' and ',
    'none',
    'true',
  ],
  ...[
    'raise_exception("x")',
    'strftime_now("%Y")',
    '{# ',
    ' #}',
    '{% raw %}',
    '{% endraw %}',
    'generation',
    'break',
    'continue',
    '.format(1)',
    '.replace("a","aa")',
    '.split()',
    '*100000',
  ],
]
const conversation = {
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hi é😀', n: 3, x: null, f: 1.5 },
    { role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: { a: [1, { b: null }] } } }] },
  ],
  tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
  add_generation_prompt: true,
  bos_token: '<s>',
  eos_token: '</s>',
}
const limits = { work: 200_000, length: 2 ** 18, depth: 500, seconds: 5 }

export const textTargets: readonly Target[] = [
  {
    name: 'tokenizer',
    weight: 1,
    isText: true,
    make: changedText(tokenizers, pieces),
    run: async (input) => {
      const tokenizer = await loadTokenizer({ tokenizerJson: bytesOf('tokenizer.json', Buffer.from(input as string)) })
      for (const text of samples) {
        const { ids, offsets } = tokenizer.encode(text)
        if (ids.length !== offsets.length) throw new Error('ids and offsets of other lengths')
        if (ids.some((id) => !Number.isSafeInteger(id) || id < 0)) throw new Error(`ids ${ids}`)
        for (const [from, to] of offsets)
          if (from < 0 || to < from || to > text.length) throw new Error(`offsets ${offsets}`)
        tokenizer.decode(ids)
      }
    },
  },
  {
    name: 'regex',
    weight: 3,
    isText: true,
    make: speech(regexWords, 12, []),
    run: (input) => {
      let find: (text: string) => number[]
      try {
        find = linearPattern(input as string)
      } catch (error) {
        // Its reader turns the error into a Fault of the file
        if (Object.getPrototypeOf(error) === Error.prototype) return 'refused'
        throw error
      }
      for (const text of samples) {
        const matches = find(text)
        for (let i = 0; i < matches.length; i++)
          if (matches[i] < (matches[i - 1] ?? 0) || matches[i] > text.length) throw new Error(`matches ${matches}`)
      }
    },
  },
  {
    name: 'template',
    weight: 8,
    isText: true,
    make: speech(jinjaWords, 14, templates),
    run: (input) => {
      const { text, spans } = renderTemplate(compileTemplate(input as string), conversation, { limits })
      for (const [from, to] of spans) if (from > to || to > text.length) throw new Error(`spans ${spans}`)
    },
  },
]
