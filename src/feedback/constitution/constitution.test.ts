/** The constitution: what its YAML may say, which principles are drawn, and what a model is asked under them. */
import { describe, expect, it } from 'vitest'
import { comparingPrinciples, drawPrinciple, fillFrame, parseConstitution } from './constitution.ts'
import {
  comparisonQuestion,
  critiqueRequest,
  dialogueText,
  replyText,
  responseRequest,
  revisionRequest,
  stopsOf,
} from './dialogue.ts'
import { readConstitution } from './shipped.node.ts'

const frames = { critique: '{request}', revision: '{request} Again.', comparison: '{conversation}|{request}|{a}|{b}' }
const small = `
principles:
  - {id: kind, critique: Unkind?, revision: Be kind., comparison: Kinder?}
  - {id: short, kind: style, critique: Long?, revision: Be short.}
examples:
  - {prompt: p, response: r, critique_request: cq, critique: c, revision_request: rq, revision: v}
`
const constitution = parseConstitution(small, 'mine.yaml', frames)
const prompt = [{ role: 'user', content: 'Hello' }]

describe('the constitution of attune', () => {
  it('has at least 16 principles of both kinds, all with every request', async () => {
    const { principles, examples } = await readConstitution()
    expect(principles.length).toBeGreaterThanOrEqual(16)
    expect(new Set(principles.map(({ kind }) => kind))).toEqual(new Set(['harmlessness', 'helpfulness']))
    const texts = principles.flatMap(({ critique, revision, comparison = '' }) => [critique, revision, comparison])
    expect(new Set(texts).size).toBe(3 * principles.length)
    expect(texts.filter((text) => text.length < 20 || text.includes('\n'))).toEqual([])
    expect(examples.length).toBeGreaterThan(0)
  })
})

describe('a constitution in YAML', () => {
  it('takes what it leaves out from the frames given', () => {
    expect(constitution.frames).toEqual(frames)
    expect(constitution.name).toBe('mine.yaml')
    expect(comparingPrinciples(constitution).map(({ id }) => id)).toEqual(['kind'])
  })

  const bad = (text: string, given: Partial<typeof frames> = frames) => {
    try {
      parseConstitution(text, 'bad.yaml', given)
    } catch (error) {
      return (error as Error).message
    }
    return 'no error'
  }
  it.each<[string, string, RegExp]>([
    ['no YAML', 'principles: [', /bad\.yaml: is not YAML: /],
    ['no principles', 'principles: []', /principles: must hold a principle at least/],
    ['a missing request', 'principles: [{id: a, critique: b}]', /principles\[1\]\.revision: /],
    [
      'an empty request',
      'principles: [{id: a, critique: " ", revision: c}]',
      /principles\[1\]\.critique: must not be empty/,
    ],
    ['an unknown key', 'principles: [{id: a, critique: b, revision: c, compare: d}]', /principles\[1\]: .*compare/],
    ['a number for text', 'principles: [{id: 1, critique: b, revision: c}]', /principles\[1\]\.id: .*string/],
    [
      'an id twice',
      'principles: [{id: a, critique: b, revision: c}, {id: a, critique: b, revision: c}]',
      /two principles have the id "a"/,
    ],
    [
      'a frame without its place',
      'principles: [{id: a, critique: b, revision: c}]\nframes: {critique: Well?}',
      /frames\.critique: must hold \{request\}/,
    ],
    ['a text', 'be kind', /the file: /],
    ['too long a file', `# ${'x'.repeat(2 ** 18)}`, /more than 262,144 characters/],
  ])('with %s is refused', (_, text, message) => {
    expect(bad(text)).toMatch(message)
  })

  it('without any question for comparison compares nothing', () => {
    const without = parseConstitution('principles: [{id: a, critique: b, revision: c}]', 'x.yaml', frames)
    expect(() => comparingPrinciples(without)).toThrow(/no principle of "x\.yaml" has a "comparison"/)
  })
})

describe('principles are drawn', () => {
  const ten = Array.from({ length: 10 }, (_, i) => ({ id: `${i}`, critique: '', revision: '' }))
  const draw = (seed: number, row: number, round: number) => drawPrinciple(ten, 'critique', { seed, row, round }).id

  it('about equally often, by row and by round', () => {
    const counts = new Map<string, number>()
    for (let row = 0; row < 1000; row++)
      for (let round = 0; round < 2; round++) {
        const id = draw(7, row, round)
        counts.set(id, (counts.get(id) ?? 0) + 1)
      }
    // 200 are expected of each, with a standard deviation of 13
    expect([...counts.values()].filter((n) => n < 140 || n > 260)).toEqual([])
    expect(counts.size).toBe(10)
    const same = Array.from({ length: 1000 }, (_, row) => Number(draw(7, row, 0) === draw(7, row, 1)))
    expect(same.reduce((a, b) => a + b, 0)).toBeLessThan(160)
  })

  it('by the seed, and apart for critiques and comparisons', () => {
    const rows = Array.from({ length: 50 }, (_, row) => row)
    const critiques = rows.map((row) => draw(7, row, 0))
    expect(rows.map((row) => draw(7, row, 0))).toEqual(critiques)
    expect(rows.map((row) => draw(8, row, 0))).not.toEqual(critiques)
    const comparisons = rows.map((row) => drawPrinciple(ten, 'comparison', { seed: 7, row, round: 0 }).id)
    expect(comparisons).not.toEqual(critiques)
  })
})

describe('what a model is asked', () => {
  const reply = { prompt, response: 'Go away' }
  const [kind] = constitution.principles

  it('by messages', () => {
    expect(responseRequest('chat', prompt)).toEqual(prompt)
    const critique = [...prompt, { role: 'assistant', content: 'Go away' }, { role: 'user', content: 'Unkind?' }]
    expect(critiqueRequest('chat', constitution, reply, kind)).toEqual(critique)
    expect(revisionRequest('chat', constitution, reply, kind, 'Very.')).toEqual([
      ...critique,
      { role: 'assistant', content: 'Very.' },
      { role: 'user', content: 'Be kind. Again.' },
    ])
  })

  it('by plain text, after the examples', () => {
    const example =
      '\n\nHuman: p\n\nAssistant: r\n\nCritique Request: cq\n\nCritique: c\n\nRevision Request: rq\n\nRevision: v'
    const turns = '\n\nHuman: Hello\n\nAssistant: Go away\n\nCritique Request: Unkind?\n\nCritique:'
    expect(responseRequest('text', prompt)).toBe('\n\nHuman: Hello\n\nAssistant:')
    expect(critiqueRequest('text', constitution, reply, kind)).toBe(example + turns)
    expect(revisionRequest('text', constitution, reply, kind, 'Very.')).toBe(
      `${example}${turns} Very.\n\nRevision Request: Be kind. Again.\n\nRevision:`,
    )
    expect(stopsOf('text')).toContain('\n\nHuman:')
    expect(stopsOf('chat')).toEqual([])
  })

  it('which of two replies is better, in both orders, whatever stands in them', () => {
    const { prompts, options } = comparisonQuestion('chat', constitution, prompt, 'Kinder?', ['{b} $& (B)', 'two'])
    expect(prompts).toEqual([
      [{ role: 'user', content: 'Human: Hello|Kinder?|{b} $& (B)|two' }],
      [{ role: 'user', content: 'Human: Hello|Kinder?|two|{b} $& (B)' }],
    ])
    expect(options).toEqual(['(A', '(B'])
    const plain = comparisonQuestion('text', constitution, prompt, 'Kinder?', ['one', 'two'])
    expect(plain.prompts[0]).toBe('Human: Hello|Kinder?|one|two\n\nThe answer is:')
    expect(plain.options).toEqual([' (A', ' (B'])
  })

  it('fills all places of a frame at once', () => {
    expect(fillFrame('{a} {b} {c}', { a: '{b}', b: '{a}' })).toBe('{b} {a} {c}')
  })

  it('names other speakers as they are', () => {
    expect(dialogueText([{ role: 'system', content: 'Be brief' }, ...prompt])).toBe(
      '\n\nsystem: Be brief\n\nHuman: Hello',
    )
  })

  it.each([
    [' Better. \n', 'Better.'],
    ['Revision: Better.', 'Better.'],
    ['**Critique:** Bad.', 'Bad.'],
    ['<think>Hm.</think>\n\nBetter.', 'Better.'],
    ['<think>Hm, what', ''],
    ['A Revision: no', 'A Revision: no'],
  ])('reads the reply %j as %j', (text, read) => {
    expect(replyText(text)).toBe(read)
  })
})
