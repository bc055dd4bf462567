/** Rules of tokenisation on a toy tokenizer: a token a character, `^` as BOS, `$` as EOS. */
import { describe, expect, it } from 'vitest'
import { type Encoder, rankedExample, scoredExample, textExample, unpairedExample } from './examples.ts'
import { contentText } from './messages.ts'
import type { Ranking } from './rows.ts'

const id = (text: string) => [...text].map((c) => c.charCodeAt(0))
const eosId = 36
const plain: Encoder = {
  eosId,
  addsEos: false,
  size: 1000,
  encode: (text, { specialTokens = true } = {}) => ({ ids: id(specialTokens ? `^${text}` : text) }),
}
/** Turns of a chat as `<user>hi` with `$` behind those of the assistant, which alone count. */
const chat: Encoder = {
  ...plain,
  chat: {
    encode: (messages, { addGenerationPrompt = false } = {}) => {
      const parts = messages.map((message) => {
        const text = contentText(message)
        return [`<${message.role}>`, message.role === 'assistant' ? `${text}$` : text]
      })
      const text = `^${parts.flat().join('')}${addGenerationPrompt ? '<assistant>' : ''}`
      const mask = parts.flatMap(([head, body], i) => [
        ...[...head].map(() => 0),
        ...[...body].map(() => Number(messages[i].role === 'assistant')),
      ])
      return { ids: id(text), assistantMask: [0, ...mask] }
    },
  },
}
/** Joins `ab` to one token, so that a prompt that ends in a is no prefix of what goes on with b. */
const merging: Encoder = {
  ...plain,
  encode: (text, options) => ({ ids: plain.encode(text.replaceAll('ab', '\u0001'), options).ids }),
}

const text = (ids: number[]) => String.fromCharCode(...ids)
const counted = () => {
  const seen: string[] = []
  return { seen, count: (what: string) => void seen.push(what) }
}
const ranking = (prompt: Ranking['prompt'], responses: Ranking['responses']): Ranking => ({
  kind: 'ranking',
  prompt,
  responses,
  ranks: responses.map((_, i) => i + 1),
})
const ranked = (encoder: Encoder, row: Ranking, limits: { maxLength: number; maxPromptLength?: number }) => {
  const { seen, count } = counted()
  const example = rankedExample(encoder, row, limits, count)
  return typeof example === 'string'
    ? example
    : { prompt: text(example.prompt), responses: example.responses.map(text), truncated: example.truncated, seen }
}
const long = { maxLength: 100 }

describe('prompts and responses', () => {
  it('are tokenised as wholes and end in EOS', () => {
    const { prompt, responses, seen } = ranked(plain, ranking('hi', [' a', ' bc$']), long) as never
    expect({ prompt, responses, seen }).toEqual({ prompt: '^hi', responses: [' a$', ' bc$'], seen: [] })
  })

  it('are cut after the length of the prompt where it is no prefix, and counted', () => {
    const example = ranked(merging, ranking('xa', ['bc']), long)
    expect(example).toMatchObject({ prompt: '^xa', responses: ['c$'], seen: ['prompt-not-prefix'] })
  })

  it('of a conversation are the template, whose end is the end', () => {
    const row = ranking([{ role: 'user', content: 'hi' }], ['a', [{ role: 'assistant', content: 'b' }]])
    expect(ranked(chat, row, long)).toMatchObject({ prompt: '^<user>hi<assistant>', responses: ['a$', 'b$'] })
    expect(() => ranked(plain, row, long)).toThrow('no chat template')
  })

  it('in parts are one text to a template that does not go through them', () => {
    const parts = ['h', 'i'].map((text) => ({ type: 'text' as const, text }))
    const row = ranking([{ role: 'user', content: parts }], ['a'])
    const seen: unknown[] = []
    const watching = (reads: boolean): Encoder => ({
      ...plain,
      chat: {
        readsParts: () => reads,
        encode: (messages, options) => {
          seen.push(messages[0].content)
          return chat.chat!.encode(messages, options)
        },
      },
    })
    for (const reads of [true, false]) ranked(watching(reads), row, long)
    expect(seen).toEqual([parts, parts, 'hi', 'hi'])
  })

  it('of ids are taken as they are; text after ids has no BOS and gets its EOS', () => {
    const row = ranking(id('pq'), [id('r'), 's'])
    expect(ranked(plain, row, long)).toMatchObject({ prompt: 'pq', responses: ['r', 's$'] })
  })

  it('lose the beginning of the prompt and the end of the response', () => {
    const limits = { maxLength: 6, maxPromptLength: 3 }
    const example = ranked(plain, ranking('abcd', ['1', '234567']), limits)
    expect(example).toMatchObject({ prompt: 'bcd', responses: ['1$', '234'], truncated: true })
  })

  it('that leave nothing to predict are dropped', () => {
    expect(ranked(plain, ranking('abcd', ['1', '2']), { maxLength: 5 })).toBe('no-reply-left')
    expect(ranked(plain, ranking([], [id('a'), id('bc')]), long)).toBe('no-reply-left')
    expect(ranked(plain, ranking([], [id('ab'), id('bc')]), long)).toMatchObject({ responses: ['ab', 'bc'] })
  })

  it('that are ranked apart and equal are counted', () => {
    expect(ranked(plain, ranking('hi', [' a', ' a']), long)).toMatchObject({
      responses: [' a$', ' a$'],
      seen: ['equal-replies'],
    })
    const tied = { ...ranking('hi', [' a', ' a']), ranks: [1, 1] }
    expect(ranked(plain, tied, long)).toMatchObject({ seen: [] })
    // Equal once they are cut
    expect(ranked(plain, ranking('hi', [' abc', ' abd']), { maxLength: 5 })).toMatchObject({ seen: ['equal-replies'] })
  })

  it('of what scores them whole keep the tokens of the whole', () => {
    const row = ranking('xa', ['bc', 'c'])
    const example = scoredExample(merging, row, long, () => {})
    if (typeof example === 'string') throw new Error(example)
    expect([example.prompt, ...example.responses].map(text)).toEqual(['^x', '\u0001c$', 'ac$'])
  })

  it('with a label are the same', () => {
    const row = { kind: 'unpaired', prompt: 'hi', completion: 'a', label: true } as const
    const example = unpairedExample(plain, row, long, () => {})
    expect(example).toEqual({ prompt: id('^hi'), completion: id('a$'), label: true, truncated: false })
    expect(unpairedExample(plain, row, { maxLength: 3 }, () => {})).toBe('no-reply-left')
  })

  /** With EOS behind every text. */
  const ending: Encoder = { ...plain, addsEos: true, encode: (t, o) => ({ ids: [...plain.encode(t, o).ids, eosId] }) }

  it('lose an EOS that the tokenizer puts behind the prompt', () => {
    expect(ranked(ending, ranking('hi', ['a']), long)).toMatchObject({ prompt: '^hi', responses: ['a$'] })
    expect(ranked(ending, ranking('', ['a']), long)).toMatchObject({ prompt: '^', responses: ['a$'] })
  })

  it.each([
    ['as it stands', plain],
    ['beside the one that the tokenizer adds', ending],
  ])('keep an EOS that stands in the prompt, %s', (_, encoder) => {
    expect(ranked(encoder, ranking('hi$', ['a', 'b$', '']), long)).toMatchObject({
      prompt: '^hi$',
      responses: ['a$', 'b$', '$'],
      seen: [],
    })
    const row = { kind: 'completion', prompt: 'hi$', completion: 'a' } as const
    const example = textExample(encoder, row, long, { assistantOnly: false, completionOnly: true }, () => {})
    expect(example).toMatchObject({ ids: id('^hi$a$'), targets: [0, 0, 0, 0, 1, 1] })
  })
})

describe('texts', () => {
  const options = { assistantOnly: false, completionOnly: true }
  const shown = (encoder: Encoder, row: Parameters<typeof textExample>[1], given = {}, limits = {}) => {
    const example = textExample(encoder, row, { maxLength: 100, ...limits }, { ...options, ...given }, () => {})
    if (typeof example === 'string') return example
    const { ids, targets, truncated } = example
    return { text: text(ids), counts: targets.map((t) => '.#'[Number(t)]).join(''), truncated }
  }
  const completion = { kind: 'completion', prompt: 'hi', completion: 'ab' } as const
  const messages = [
    { role: 'user', content: 'x' },
    { role: 'assistant', content: 'yz' },
  ]

  it('get EOS once', () => {
    expect(shown(plain, { kind: 'text', text: 'ab' })).toEqual({ text: '^ab$', counts: '####', truncated: false })
    expect(shown(plain, { kind: 'text', text: 'ab$' })).toMatchObject({ text: '^ab$' })
    expect(shown(plain, { kind: 'text', text: id('ab') })).toMatchObject({ text: 'ab' })
  })

  it('of a prompt and a completion count the completion, or both', () => {
    expect(shown(plain, completion)).toMatchObject({ text: '^hiab$', counts: '...###' })
    expect(shown(plain, completion, { completionOnly: false })).toMatchObject({ counts: '######' })
  })

  it('of a prompt that is no prefix keep the tokens of the whole', () => {
    const row = { kind: 'completion', prompt: 'xa', completion: 'bc' } as const
    expect(shown(merging, row)).toEqual({ text: '^x\u0001c$', counts: '...##', truncated: false })
  })

  it('of a conversation count all, or what the assistant says, derived where the template has no marks', () => {
    expect(shown(chat, { kind: 'messages', messages })).toMatchObject({ text: '^<user>x<assistant>yz$' })
    const marked = shown(chat, { kind: 'messages', messages }, { assistantOnly: true })
    expect(marked).toMatchObject({ counts: `${'.'.repeat('^<user>x<assistant>'.length)}###` })
    const unmarked: Encoder = {
      ...chat,
      chat: {
        encode: (turns, options) => {
          const { ids, assistantMask } = chat.chat!.encode(turns, options)
          return { ids, assistantMask: options?.deriveMask ? assistantMask : undefined }
        },
      },
    }
    expect(shown(unmarked, { kind: 'messages', messages }, { assistantOnly: true })).toEqual(marked)
    expect(shown(unmarked, { kind: 'messages', messages })).toMatchObject({ text: '^<user>x<assistant>yz$' })
  })

  it('are cut at the end, their prompts at the beginning', () => {
    expect(shown(plain, completion, {}, { maxLength: 5 })).toEqual({ text: '^hiab', counts: '...##', truncated: true })
    const cut = shown(plain, completion, {}, { maxPromptLength: 1 })
    expect(cut).toEqual({ text: 'iab$', counts: '.###', truncated: true })
  })

  it('without anything to predict are dropped', () => {
    expect(shown(plain, completion, {}, { maxLength: 3 })).toBe('no-target-left')
    expect(shown(plain, { kind: 'text', text: [7] })).toBe('empty')
    const question = { kind: 'messages', messages: messages.slice(0, 1) } as const
    expect(shown(chat, question as never, { assistantOnly: true })).toBe('no-target-left')
  })
})
