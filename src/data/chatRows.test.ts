/** Plain rows with --chat: the same token ids as the same rows written as messages, for every kind of row. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { withAnswerTurns, withoutTurn } from './chatRows.ts'
import type { Kinds } from './convert.ts'
import { encodePrompt, rankedExample, scoredExample, textExample, unpairedExample } from './examples.ts'
import { openRows } from './openRows.node.ts'
import { recordFor, type Target, targets } from './records.ts'
import type { Row } from './rows.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-chat-rows-'))
afterAll(() => rmSync(root, { recursive: true }))
let tokenizer: Tokenizer
beforeAll(async () => {
  tokenizer = (await loadTokenizerFolder(fixture('trl/model')))!
})

let made = 0
const written = (rows: readonly object[] | string): string => {
  const isCsv = typeof rows === 'string'
  const path = join(root, `rows${made++}.${isCsv ? 'csv' : 'jsonl'}`)
  writeFileSync(path, isCsv ? rows : rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}
const read = async (as: keyof Kinds, file: string, options: object = {}): Promise<Row[]> => {
  const opened = await openRows(file, { as, ...options })
  try {
    return await Promise.all(Array.from({ length: opened.length }, (_, i) => opened.row(i)))
  } finally {
    await opened.close()
  }
}

const limits = { maxLength: 1000 }
const never = (what: string) => {
  throw new Error(what)
}
/** Every example that a method makes of a row. */
const examplesOf = (row: Row): unknown => {
  if (row.kind === 'ranking')
    return [rankedExample(tokenizer, row, limits, never), scoredExample(tokenizer, row, limits, never)]
  if (row.kind === 'unpaired') return unpairedExample(tokenizer, row, limits, never)
  if (row.kind === 'prompt') return encodePrompt(tokenizer, row.prompt, row.template)
  return [false, true].map((completionOnly) =>
    textExample(tokenizer, row as never, limits, { assistantOnly: false, completionOnly }, never),
  )
}

const user = (content: string) => [{ role: 'user', content }]
const assistant = (content: string) => [{ role: 'assistant', content }]
const asked = 'Why is the sky blue?'

const kinds: [name: string, as: (keyof Kinds)[], plain: object | string, messages: object][] = [
  [
    'prompt and completion',
    ['sft', 'completion', 'prompt'],
    { prompt: asked, completion: 'It scatters.' },
    { prompt: user(asked), completion: assistant('It scatters.') },
  ],
  [
    'a preference',
    ['ranking', 'unpaired', 'sft', 'prompt'],
    { prompt: asked, chosen: 'It scatters.', rejected: 'No.', score_chosen: 2, score_rejected: 1 },
    {
      prompt: user(asked),
      chosen: assistant('It scatters.'),
      rejected: assistant('No.'),
      score_chosen: 2,
      score_rejected: 1,
    },
  ],
  [
    'a ranking',
    ['ranking', 'sft', 'prompt'],
    { prompt: asked, responses: ['Yes.', 'No.', 'Oh.'], ranks: [2, 1, null] },
    { prompt: user(asked), responses: ['Yes.', 'No.', 'Oh.'].map(assistant), ranks: [2, 1, null] },
  ],
  [
    'the best of n',
    ['ranking', 'sft'],
    { prompt: asked, responses: ['Yes.', 'No.'], best: 1 },
    { prompt: user(asked), responses: ['Yes.', 'No.'].map(assistant), best: 1 },
  ],
  [
    'a thumb',
    ['unpaired', 'sft', 'prompt'],
    { prompt: asked, completion: 'Yes.', label: true },
    { prompt: user(asked), completion: assistant('Yes.'), label: true },
  ],
  [
    'a thumb in a table',
    ['unpaired', 'sft', 'prompt'],
    `prompt,completion,label\n${asked},Yes.,up\n`,
    { prompt: user(asked), completion: assistant('Yes.'), label: true },
  ],
  ['a prompt', ['prompt'], { prompt: asked }, { prompt: user(asked) }],
  ['a text that is a prompt', ['prompt'], { text: asked }, { prompt: user(asked) }],
  [
    'a dialogue of HH-RLHF',
    ['ranking', 'unpaired', 'prompt'],
    {
      chosen: `\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: ${asked}\n\nAssistant: It scatters.`,
      rejected: `\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: ${asked}\n\nAssistant: No.`,
    },
    {
      prompt: [...user('Hi'), ...assistant('Hello'), ...user(asked)],
      chosen: assistant('It scatters.'),
      rejected: assistant('No.'),
    },
  ],
]

describe('a plain row with --chat gives the examples of the row as messages', () => {
  const cases = kinds.flatMap(([name, as, ...rows]) => as.map((kind) => [name, kind, ...rows] as const))
  it.each(cases)('%s, read as %s', async (_, as, plain, messages) => {
    const file = written(typeof plain === 'string' ? plain : [plain])
    const turns = written([messages])
    const examples = (await read(as, file, { chat: true })).map(examplesOf)
    expect(examples.length).toBeGreaterThan(0)
    expect(examples).toEqual((await read(as, turns)).map(examplesOf))
    // Messages stay as they are, and plain rows are another thing
    expect((await read(as, turns, { chat: true })).map(examplesOf)).toEqual(examples)
    expect((await read(as, file)).map(examplesOf)).not.toEqual(examples)
  })

  it('in the very text of the template', async () => {
    const [row] = await read('unpaired', written([kinds[4][2] as object]), { chat: true })
    const { prompt, completion } = unpairedExample(tokenizer, row as never, limits, never) as {
      prompt: number[]
      completion: number[]
    }
    const text = (ids: number[]) => tokenizer.decode(ids)
    expect(text(prompt)).toBe(text(tokenizer.chat!.encode(user(asked), { addGenerationPrompt: true }).ids))
    expect(text(prompt)).toContain(`Human: ${asked}\n\nAssistant:`)
    expect(completion.at(-1)).toBe(tokenizer.eosId)
  })

  it('keeps the tools of a row for the template', async () => {
    const tools = [{ type: 'function', function: { name: 'now' } }]
    const opened = await openRows(written([{ prompt: asked, completion: 'Yes.', tools }]), { as: 'sft', chat: true })
    expect(opened.unread).toEqual({})
    expect((await opened.row(0)).template).toEqual({ tools })
    await opened.close()
  })

  it.each<[Target, object, object]>([
    ['sft', kinds[0][2] as object, kinds[0][3]],
    ['preference', kinds[1][2] as object, kinds[1][3]],
    ['ranking', kinds[2][2] as object, kinds[2][3]],
    ['kto', kinds[4][2] as object, kinds[4][3]],
    ['prompt', kinds[6][2] as object, kinds[6][3]],
  ])('is written as messages by data --to %s --chat', async (to, plain, messages) => {
    const [row] = await read(targets[to], written([plain]), { chat: true })
    expect(recordFor(to, withAnswerTurns(row), {})).toEqual(messages)
  })

  it('and back', () => {
    expect(withoutTurn(user('Hi'))).toBe('Hi')
    for (const other of [[...user('Hi'), ...assistant('Hello')], assistant('Hi'), [{ ...user('Hi')[0], name: 'Ann' }]])
      expect(withoutTurn(other)).toBe(other)
  })
})

describe('what has no turns is refused with its place', () => {
  it.each<[string, keyof Kinds, object, RegExp]>([
    [
      'a text',
      'sft',
      { text: 'Once upon a time' },
      /column "text": is one text, of which --chat cannot tell the turns/,
    ],
    ['ids of a text', 'sft', { input_ids: [1, 2] }, /holds token ids, which no chat template renders/],
    ['ids of a prompt', 'prompt', { prompt: [1, 2] }, /column "prompt": holds token ids/],
    ['ids of a response', 'ranking', { prompt: 'a', chosen: [1], rejected: [2] }, /holds token ids/],
    ['ids with labels', 'sft', { input_ids: [1, 2], labels: [1, 2] }, /holds token ids/],
    ['no prompt', 'ranking', { chosen: 'So it is', rejected: 'So it was' }, /needs the prompt in a column of its own/],
  ])('%s', async (_, as, row, message) => {
    const opened = read(as, written([row]), { chat: true })
    await expect(opened).rejects.toMatchObject({ code: 'wrong-kind', exitCode: 2 })
    await expect(opened).rejects.toThrow(message)
    await expect(opened).rejects.toThrow(/line 1, row 0.*leave --chat out \(--no-chat\)/)
  })
})
