/**
 * Special tokens from the files beside tokenizer.json. The expected values are what AutoTokenizer of transformers 5.24
 * gives for the same folder.
 */
import { describe, expect, it } from 'vitest'
import { bytesOf } from '../util/bytes.ts'
import { loadTokenizer } from './tokenizer.ts'

const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false }
const file = {
  added_tokens: [
    { id: 0, content: '<s>', special: true, ...plain },
    { id: 1, content: '</s>', special: false, ...plain },
  ],
  normalizer: null,
  pre_tokenizer: null as object | null,
  post_processor: null,
  decoder: { type: 'Fuse' } as object,
  model: {
    type: 'BPE',
    unk_token: null,
    vocab: { '<s>': 0, '</s>': 1, a: 2, b: 3, '<': 4, '>': 5, x: 6, '▁': 7 } as Record<string, number>,
    merges: [],
  },
}

type Sides = { config?: object; map?: object; added?: object; model?: object }

const load = ({ config, map, added, model = { model_type: 'llama' } }: Sides, json: object = file) => {
  const source = (name: string, content: unknown) =>
    content === undefined ? undefined : bytesOf(name, new TextEncoder().encode(JSON.stringify(content)))
  return loadTokenizer({
    tokenizerJson: source('tokenizer.json', json)!,
    tokenizerConfig: source('tokenizer_config.json', config),
    specialTokensMap: source('special_tokens_map.json', map),
    addedTokens: source('added_tokens.json', added),
    modelConfig: source('config.json', model),
  })
}

const fast = { tokenizer_class: 'PreTrainedTokenizerFast' }
const llama = { tokenizer_class: 'LlamaTokenizer' }
const text = '<s>a<x><y></s>'
const nothing = [0, 2, 4, 6, 5, 4, 5, 1]
const x = { content: '<x>', ...plain }

describe('special and added tokens', () => {
  it.each<[string, Sides, number[], special: string[]]>([
    ['the file alone', {}, nothing, ['<s>']],
    ['add_bos_token', { config: { ...fast, add_bos_token: true, bos_token: '<s>' } }, nothing, ['<s>']],
    ['a name makes special', { config: { ...fast, eos_token: '</s>' } }, nothing, ['<s>', '</s>']],
    [
      "the config's table, which shuts out the older files",
      {
        config: { ...fast, added_tokens_decoder: { 1: { ...x, content: '</s>' }, 8: { ...x, special: true } } },
        map: { additional_special_tokens: ['<y>'] },
        added: { '<y>': 9 },
      },
      [0, 2, 8, 4, 5, 1],
      ['<s>', '<x>'],
    ],
    [
      'additional_special_tokens of the map',
      { config: fast, map: { additional_special_tokens: ['<x>'], bos_token: '<s>' } },
      [0, 2, 8, 4, 5, 1],
      ['<s>', '<x>'],
    ],
    [
      'the map before the config, but for additional ones',
      {
        config: { ...fast, bos_token: '<s>', additional_special_tokens: ['<y>'] },
        map: { additional_special_tokens: ['<x>'], bos_token: '</s>' },
      },
      [0, 2, 4, 6, 5, 8, 1],
      ['<s>', '</s>', '<y>'],
    ],
    ['a token of the map', { map: { pad_token: { ...x, lstrip: true } } }, [0, 2, 8, 4, 5, 1], ['<s>', '<x>']],
    ['added_tokens.json', { config: fast, added: { '<y>': 9, '<x>': 8 } }, [0, 2, 8, 9, 1], ['<s>']],
    ['added_tokens.json with holes', { config: fast, added: { '<y>': 20, '<x>': 12 } }, [0, 2, 8, 9, 1], ['<s>']],
    [
      'added_tokens.json of special ones',
      { config: { ...fast, pad_token: '<y>', extra_special_tokens: ['<x>'] }, added: { '<y>': 9, '<x>': 8 } },
      [0, 2, 8, 9, 1],
      ['<s>', '<x>', '<y>'],
    ],
    ['an id of the file', { config: fast, added: { '<y>': 0, '<x>': 8 } }, [0, 2, 8, 4, 5, 1], ['<s>']],
    ['extra as a list', { config: { ...fast, extra_special_tokens: ['<x>'] } }, [0, 2, 8, 4, 5, 1], ['<s>', '<x>']],
    [
      'extra as an object',
      { config: { ...fast, extra_special_tokens: { image_token: '<x>', foo: '<y>' } } },
      [0, 2, 8, 9, 1],
      ['<s>', '<x>', '<y>'],
    ],
    [
      'extra as an object, and additional ones',
      { config: { ...fast, extra_special_tokens: { image_token: '<x>' }, additional_special_tokens: ['<y>'] } },
      [0, 2, 8, 9, 1],
      ['<s>', '<x>', '<y>'],
    ],
    [
      'extra before additional ones',
      { config: { ...fast, extra_special_tokens: ['<x>'], additional_special_tokens: ['<y>'] } },
      [0, 2, 8, 4, 5, 1],
      ['<s>', '<x>'],
    ],
    [
      'an extra token that says it is not special',
      { config: { ...fast, extra_special_tokens: [{ __type: 'AddedToken', ...x, special: false }] } },
      [0, 2, 8, 4, 5, 1],
      ['<s>'],
    ],
    ["a name of the model's own", { config: { ...fast, image_token: '<x>' } }, [0, 2, 8, 4, 5, 1], ['<s>', '<x>']],
    ['the class', { config: llama }, nothing, ['<s>', '</s>', '<unk>']],
    ['null is no default of the class', { config: { ...llama, unk_token: null } }, nothing, ['<s>', '</s>']],
    [
      'the class of config.json',
      { model: { model_type: 'llama', tokenizer_class: 'LlamaTokenizer' } },
      nothing,
      ['<s>', '</s>', '<unk>'],
    ],
    ['no class for Phi-3', { config: llama, model: { model_type: 'phi3' } }, nothing, ['<s>']],
    [
      'the registered class of Qwen2',
      { config: fast, model: { model_type: 'qwen2' } },
      nothing,
      ['<s>', '<|endoftext|>'],
    ],
    ['the named class of Qwen3', { config: fast, model: { model_type: 'qwen3' } }, nothing, ['<s>']],
    ['GPT-2 in a Llama folder', { config: { tokenizer_class: 'GPT2Tokenizer' } }, nothing, ['<s>', '<|endoftext|>']],
  ])('%s', async (_, sides, ids, special) => {
    const tok = await load(sides)
    expect(tok.encode(text).ids).toEqual(ids)
    const all = Array.from({ length: tok.size }, (_, id) => id)
    expect(all.filter(tok.isSpecial).map(tok.idToToken).sort()).toEqual(special.toSorted())
  })

  it('keeps names for the template', async () => {
    const tok = await load({ config: { ...llama, image_token: '<x>', extra_special_tokens: { eot_token: '<y>' } } })
    expect(tok.specialTokens).toEqual({
      bos_token: '<s>',
      eos_token: '</s>',
      unk_token: '<unk>',
      image_token: '<x>',
      eot_token: '<y>',
    })
  })

  it('takes <unk> as text where a byte-level file names the class LlamaTokenizer', async () => {
    const bytes = {
      ...file,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
      decoder: { type: 'ByteLevel' },
    }
    const tok = await load({ config: { ...llama, unk_token: null } }, bytes)
    expect([tok.size, tok.unkId, tok.encode('<unk>').ids]).toEqual([8, undefined, [4, 5]])
  })

  it('splits special tokens where the config asks for it', async () => {
    const tok = await load({ config: { ...fast, split_special_tokens: true } })
    expect(tok.encode('<s></s>').ids).toEqual([4, 5, 1])
    expect(tok.encode('<s>', { splitSpecial: false }).ids).toEqual([0])
  })

  it('refuses a tokenizer file that it does not read', async () => {
    const config = { fast_tokenizer_files: ['tokenizer.json', 'tokenizer.4.0.0.json'] }
    await expect(load({ config })).rejects.toThrow(/fast_tokenizer_files\[1\] is "tokenizer\.4\.0\.0\.json"/)
  })
})
