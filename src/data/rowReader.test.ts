/** Records as rows: ids in place of text, kinds, columns, and refusals with their place. */
import { describe, expect, it } from 'vitest'
import type { Fault } from '../util/fault.ts'
import { rowReader } from './formats.ts'

const read = (value: unknown, columns = {}) => rowReader('f.jsonl', 'rows', { columns }).read({ value, row: 0 }).rows

describe('rows', () => {
  it('take ids in the place of text, in each spelling', () => {
    const row = { kind: 'ranking', prompt: [1, 2], responses: [[3], [4, 5]], ranks: [1, 2] }
    for (const spelled of [
      { prompt: [1, 2], chosen: [3], rejected: [4, 5] },
      { prompt: { input_ids: [1, 2] }, chosen: { input_ids: [3] }, rejected: { input_ids: [4, 5] } },
      { prompt_input_ids: [1, 2], chosen_input_ids: [3], rejected_input_ids: [4, 5] },
      { prompt_ids: [1, 2], chosen_ids: [3], rejected_ids: [4, 5] },
      { prompt: [1, 2], responses: [[3], [4, 5]], ranks: [1, 2] },
    ])
      expect(read(spelled)).toEqual([row])
    expect(read({ input_ids: [7, 8] })).toEqual([{ kind: 'text', text: [7, 8] }])
    expect(read({ input_ids: [7, 8], labels: [-100, 8] })).toEqual([
      { kind: 'labelled', input_ids: [7, 8], labels: [-100, 8] },
    ])
    expect(read({ prompt_input_ids: [], completion_input_ids: [1] })).toEqual([
      { kind: 'completion', prompt: [], completion: [1] },
    ])
  })

  it('of scoring may be mixed in a file', () => {
    const reader = rowReader('f.jsonl', 'rows')
    const kinds = [
      { text: 'a' },
      { prompt: 'a', completion: 'b' },
      { messages: [{ role: 'user', content: 'a' }] },
      { input_ids: [1], labels: [1] },
    ].map((value, row) => reader.read({ value, row }).rows[0].kind)
    expect(kinds).toEqual(['text', 'completion', 'messages', 'labelled'])
  })

  it('whose rating or better answer is null or not there are those in which it is empty', () => {
    const kept = (columns: Record<string, string>, rows: readonly object[]) => {
      const reader = rowReader('f.jsonl', 'rows', { columns })
      const found = rows.map((value, row) => reader.read({ value, row }))
      reader.end()
      return found
    }
    const rated = { prompt: 'prompt', completion: 'answer', label: 'thumb' }
    for (const blank of [{ thumb: '' }, { thumb: null }, {}])
      expect(
        kept(rated, [
          { prompt: 'a', answer: 'b', ...blank },
          { prompt: 'a', answer: 'b', thumb: 'up' },
        ]).map(({ rows, skipped }) => rows[0]?.kind ?? skipped[0].reason),
      ).toEqual(['no-label', 'unpaired'])
    const better = { chosen: 'better', rejected: 'answer' }
    for (const blank of [{ better: '' }, { better: null }, {}])
      expect(
        kept(better, [
          { prompt: 'a', answer: 'b', ...blank },
          { prompt: 'a', answer: 'b', better: 'c' },
        ])[0].rows,
      ).toEqual([{ kind: 'ranking', prompt: 'a', responses: ['', 'b'], ranks: [1, 2] }])
    // A name that no record has is a slip
    expect(() => kept({ ...better, chosen: 'beter' }, [{ prompt: 'a', answer: 'b', better: 'c' }])).toThrow(
      expect.objectContaining({
        code: 'missing-column',
        message: expect.stringContaining('columns are prompt, answer, better'),
      }),
    )
  })

  it('of UltraChat, with a prompt beside the messages, are conversations', () => {
    const messages = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ]
    expect(read({ prompt: 'a', prompt_id: 'x', messages })).toEqual([{ kind: 'messages', messages }])
  })

  it('of TRL: a prompt of messages with responses alone', () => {
    const prompt = [{ role: 'user', content: 'Hi' }]
    const side = (content: string) => [{ role: 'assistant', content }]
    expect(read({ prompt, chosen: side('a'), rejected: side('b') })).toEqual([
      { kind: 'ranking', prompt, responses: ['a', 'b'], ranks: [1, 2] },
    ])
    expect(
      read({ prompt, chosen: [...prompt, ...side('a')], rejected: [...prompt, ...side('b')], prob: 0.8, margin: 2 }),
    ).toEqual([{ kind: 'ranking', prompt, responses: ['a', 'b'], ranks: [1, 2], prob: 0.8, margin: 2 }])
    expect(
      read({ chosen: [...prompt, ...side('a')], rejected: [{ role: 'user', content: 'Ho' }, ...side('b')] }),
    ).toMatchObject([{ flags: ['prefix-differs'] }])
  })

  it.each([
    ['The sky is blue.', 'The sky is green.', 'The sky is'],
    ['The cat', 'The cat sat', 'The ca'],
    ['same', 'same', 'sam'],
    ['x 😀', 'x 😁', 'x'],
    ['a ', 'b ', ''],
    ['', 'b', ''],
    [
      [1, 2, 3],
      [1, 2, 4, 5],
      [1, 2],
    ],
  ])('without a prompt begin alike: %j and %j', (chosen, rejected, prompt) => {
    const spelled = Array.isArray(chosen) ? { chosen: { input_ids: chosen }, rejected: { input_ids: rejected } } : {}
    const responses = [chosen, rejected].map((side) => side.slice(prompt.length))
    expect(read({ chosen, rejected, ...spelled })).toEqual([{ kind: 'ranking', prompt, responses, ranks: [1, 2] }])
  })

  it('of conversations without a prompt begin with the messages that are equal in every field', () => {
    const [user, more] = [
      { role: 'user', content: 'a' },
      { role: 'user', content: 'c' },
    ]
    const call = { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: {} } }] }
    const plain = { role: 'assistant', content: 'b', name: null }
    expect(read({ chosen: [user, call, more, plain], rejected: [user, plain, more, plain] })).toEqual([
      {
        kind: 'ranking',
        prompt: [user],
        responses: [
          [call, more, plain],
          [plain, more, plain],
        ],
        ranks: [1, 2],
      },
    ])
    expect(read({ chosen: [user, call], rejected: [{ content: 'a', role: 'user' }, plain] })).toMatchObject([
      { prompt: [user], responses: [[call], 'b'] },
    ])
  })

  it('take a text for a user turn where messages answer it', () => {
    const turn = [{ role: 'user', content: 'a' }]
    const response = [{ role: 'assistant', content: 'b', reasoning_content: 'r' }]
    expect(read({ prompt: 'a', completion: response })).toEqual([
      { kind: 'completion', prompt: turn, completion: response },
    ])
    expect(read({ prompt: 'a', chosen: response, rejected: [{ role: 'assistant', content: 'c' }] })).toMatchObject([
      { prompt: turn, responses: [response, 'c'] },
    ])
    expect(() => read({ prompt: [1], completion: response })).toThrow('ids')
  })

  it('of ShareGPT are conversations', () => {
    const turns = [
      { from: 'system', value: 's' },
      { from: 'human', value: 'a' },
      { from: 'function_call', value: '{"name": "f", "arguments": {"x": 1}}' },
      { from: 'observation', value: '1' },
      { from: 'gpt', value: 'b' },
    ]
    const messages = [
      { role: 'system', content: 's' },
      { role: 'user', content: 'a' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ type: 'function', function: { name: 'f', arguments: { x: 1 } } }],
      },
      { role: 'tool', content: '1' },
      { role: 'assistant', content: 'b' },
    ]
    expect(read({ conversations: turns })).toEqual([{ kind: 'messages', messages }])
    expect(read({ conversations: messages })).toEqual([{ kind: 'messages', messages }])
    expect(read({ conversations: turns.slice(1, 2), chosen: turns[4], rejected: { from: 'gpt', value: 'c' } })).toEqual(
      [{ kind: 'ranking', prompt: messages.slice(1, 2), responses: ['b', 'c'], ranks: [1, 2] }],
    )
    expect(read({ conversations: [turns[1], turns[4]], label: false })).toEqual([
      { kind: 'unpaired', prompt: [messages[1]], completion: [messages[4]], label: false },
    ])
  })

  it('hold content in parts, without the null fields that tables fill in', () => {
    const messages = [{ role: 'user', content: [{ type: 'text', text: 'a', image: null }] }]
    expect(read({ messages })).toEqual([
      { kind: 'messages', messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }] },
    ])
  })

  it('give their template tools and variables, as values or as JSON', () => {
    const tools = [{ type: 'function', function: { name: 'f' } }]
    const messages = [{ role: 'user', content: 'a' }]
    const variables = { enable_thinking: false }
    for (const [columns, template] of [
      [
        { tools, chat_template_kwargs: variables },
        { tools, variables },
      ],
      [
        { tools: JSON.stringify(tools), chat_template_kwargs: JSON.stringify(variables) },
        { tools, variables },
      ],
      [{ tools: [], chat_template_kwargs: null }, { tools: [] }],
      [{ tools: null, chat_template_kwargs: { ...variables, other: null } }, { variables }],
      [
        { tools: [], chat_template_kwargs: { tools, documents: [{ title: 't', text: 'x' }] } },
        { tools, documents: [{ title: 't', text: 'x' }] },
      ],
    ])
      expect(read({ messages, ...columns })).toEqual([{ kind: 'messages', messages, template }])
    expect(read({ messages, tools: 'null', chat_template_kwargs: {} })).toEqual([{ kind: 'messages', messages }])
  })

  it('with a column that is null are read by what they have', () => {
    const none = {
      text: null,
      messages: null,
      prompt: null,
      completion: null,
      chosen: null,
      rejected: null,
      label: null,
    }
    const messages = [{ role: 'user', content: 'a' }]
    const rows = [
      [{ text: 'a' }, { kind: 'text', text: 'a' }],
      [
        { prompt: 'p', completion: 'c' },
        { kind: 'completion', prompt: 'p', completion: 'c' },
      ],
      [{ messages }, { kind: 'messages', messages }],
      [{ prompt: 'p' }, { kind: 'prompt', prompt: 'p' }],
      [
        { prompt: 'p', completion: 'c', label: 1 },
        { kind: 'unpaired', prompt: 'p', completion: 'c', label: true },
      ],
      [
        { prompt: 'p', chosen: 'c', rejected: 'r' },
        { kind: 'ranking', prompt: 'p', responses: ['c', 'r'], ranks: [1, 2] },
      ],
      [
        { chosen: 'xc', rejected: 'xr' },
        { kind: 'ranking', prompt: 'x', responses: ['c', 'r'], ranks: [1, 2] },
      ],
      [
        { prompt_ids: [1], completion_ids: [2], label: false },
        { kind: 'unpaired', prompt: [1], completion: [2], label: false },
      ],
    ]
    // Whichever comes first
    for (const start of rows.keys()) {
      const reader = rowReader('f.jsonl', 'rows')
      for (const [row, [value, expected]] of [...rows.slice(start), ...rows.slice(0, start)].entries())
        expect(reader.read({ value: { ...none, ...value }, row }).rows).toEqual([expected])
    }
  })

  it('of csv are told by the fields that are not empty', () => {
    const reader = rowReader('f.csv', 'csv')
    const none = { text: '', prompt: '', completion: '' }
    const kinds = [{ text: 'a' }, { prompt: 'a', completion: 'b' }, { completion: 'b' }].map(
      (value, row) => reader.read({ value: { ...none, ...value }, row }).rows[0],
    )
    expect(reader.read({ value: { ...none, text: 'a', messages: null }, row: 3 }).rows[0].kind).toBe('text')
    expect(kinds).toEqual([
      { kind: 'text', text: 'a' },
      { kind: 'completion', prompt: 'a', completion: 'b' },
      { kind: 'completion', prompt: '', completion: 'b' },
    ])
  })

  it('may share ids', () => {
    const reader = rowReader('f.jsonl', 'rows')
    for (const row of [0, 1])
      expect(reader.read({ value: { id: 'q', prompt: 'p', chosen: 'a', rejected: 'b' }, row }).rows[0].id).toBe('q')
  })

  it('tell of columns that change other programs and are not read', () => {
    const unread = (value: object) => rowReader('f.jsonl', 'rows').read({ value, row: 0 }).unread
    const messages = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b', weight: 0, train: false },
    ]
    expect(unread({ messages, system: 's', weight: 0.5, tools: [], other: 1 })).toEqual([
      'system',
      'weight',
      'messages.weight',
      'messages.train',
    ])
    expect(unread({ text: 'a', weight: 1, system: null, images: [], toString: 2, tools: [] })).toEqual([])
    expect(unread({ text: 'a', tools: [{}] })).toEqual(['tools'])
  })

  it('are renamed by column', () => {
    const record = { question: 'q', good: 'a', bad: 'b', chosen: 'other' }
    expect(read(record, { prompt: 'question', chosen: 'good', rejected: 'bad' })).toEqual([
      { kind: 'ranking', prompt: 'q', responses: ['a', 'b'], ranks: [1, 2] },
    ])
    expect(() => read(record, { prompt: 'questions' })).toThrow('--column prompt=questions')
  })

  it.each([
    [{ chosen: 'a', rejected: 'b', prompt: 'p', prob: 1.5 }, 'bad-value', 'prob'],
    [{ prompt: [1, -2], completion: 'b' }, 'bad-value', 'prompt'],
    [{ prompt: [1, 'x'], completion: 'b' }, 'wrong-type', 'prompt'],
    [{ input_ids: [1, 2], labels: [1] }, 'bad-value', 'labels'],
    [{ text: [{ role: 'user', content: 'a' }] }, 'wrong-type', 'text'],
    [{ prompt: 'p', chosen: 'a', rejected: [{ role: 'user', content: 'a' }] }, 'wrong-type', 'chosen'],
    [{ prompt: 'a', completion: { input_ids: 'b' } }, 'wrong-type', 'completion'],
    [{ choosen: 'a' }, 'unknown-columns', undefined],
    [{ prompt: null, chosen: null, rejected: null }, 'null-value', 'chosen'],
    [{ prompt: 'p', chosen: 'a', rejected: null }, 'null-value', 'rejected'],
    [{ prompt: 'p', completion: 'c', label: 2 }, 'bad-value', 'label'],
    [{ prompt: 'p', completion: 'c', label: 'perhaps' }, 'wrong-type', 'label'],
    [{ messages: [{ role: 'assistant', content: null }] }, 'null-value', 'messages'],
    [{ messages: [{ role: 'user', content: [{ type: 'image', image: 'x' }] }] }, 'bad-value', 'messages'],
    [{ messages: [{ role: 'user', content: ['a'] }] }, 'wrong-type', 'messages'],
    [{ conversations: [{ from: 'narrator', value: 'a' }] }, 'bad-value', 'conversations'],
    [{ conversations: [{ from: 'function_call', value: 'f()' }] }, 'bad-value', 'conversations'],
    [{ messages: [{ role: 'user', content: 'a' }], images: ['x.png'] }, 'not-read', 'images'],
    [{ messages: [{ role: 'user', content: 'a' }], tools: 'f' }, 'wrong-type', 'tools'],
    [{ messages: [{ role: 'user', content: 'a' }], tools: ['f'] }, 'wrong-type', 'tools'],
    [{ text: 'a', chat_template_kwargs: [1] }, 'wrong-type', 'chat_template_kwargs'],
    [{ text: 'a', chat_template_kwargs: { chat_template: 'x' } }, 'bad-value', 'chat_template_kwargs'],
  ])('%j is refused', (value, code, column) => {
    expect(() => read(value)).toThrow(
      expect.objectContaining({ code, where: expect.objectContaining({ row: 0, column }) }),
    )
  })

  describe('of chats whose messages have other keys', () => {
    const chat = [
      { author: 'customer', body: 'a' },
      { author: 'agent', body: 'b' },
    ]
    const faultOf = (...given: Parameters<typeof read>): Fault => {
      try {
        read(...given)
      } catch (error) {
        return error as Fault
      }
      throw new Error('nothing was refused')
    }
    const keys =
      'the keys "author", "body"; messages are read by "role" and "content", or "from" and "value", and --column does not rename keys inside them: write them as {"role": "user", "content": "..."}'

    it('are refused with the keys there are, those that are read, and what to do', () => {
      expect(faultOf({ transcript: chat }, { messages: 'transcript' }).message).toBe(
        `f.jsonl, row 0, column "transcript": message 0 has no "role", but ${keys}`,
      )
      expect(faultOf({ id: 'x', transcript: chat }).details).toContain(
        `the turns of a chat seem to be in "transcript", but have ${keys}`,
      )
      const renamed = faultOf({ transcript: chat }, { conversations: 'transcript', from: 'author' })
      expect(renamed.message).toContain('(--column from=author); columns are transcript')
      expect(renamed.details).toEqual([
        `it is a key inside "transcript", and --column renames columns of a row alone; "transcript" has ${keys}`,
      ])
    })

    it('are refused where the text alone has another key, which would be read as nothing', () => {
      expect(faultOf({ messages: [{ role: 'user', text: 'a', name: 'x' }] }).message).toContain(
        'message 0 has no "content", but the keys "role", "text", "name"',
      )
      expect(faultOf({ conversations: [{ from: 'human', text: 'a' }] }).message).toContain('has no "value"')
      for (const said of [{ tool_calls: [{}] }, { reasoning_content: 'hm' }, { content: null, name: 'x' }])
        expect(read({ messages: [{ role: 'assistant', ...said }] })).toHaveLength(1)
    })
  })

  it('suggest the nearest column', () => {
    expect(() => read({ choosen: 'a' })).toThrow(
      expect.objectContaining({
        message: 'f.jsonl, row 0: rows with the columns choosen are of no known kind',
        details: expect.arrayContaining([
          'sft needs messages, or prompt and completion, or text',
          expect.stringContaining('--column chosen=choosen; no column looks like rejected'),
        ]),
      }),
    )
  })

  it('suggest a script for answers in columns', () => {
    const sheet = {
      Frage: 'Ist Frühstück dabei?',
      'Antwort A': 'Ja.',
      'Rang A': '2',
      'Antwort B': 'Ja, von 7 bis 10.',
      'Rang B': '1',
    }
    expect(() => read(sheet)).toThrow(
      expect.objectContaining({
        details: expect.arrayContaining([
          expect.stringMatching(/^"Antwort A", "Antwort B" look like several answers to one question/),
        ]),
      }),
    )
  })

  it('suggest columns for what widgets export, where a conversation waits for an answer', () => {
    const history = [
      { role: 'assistant', content: 'Hi!' },
      { role: 'user', content: 'Is there moss in it?' },
    ]
    expect(() => read({ id: 'c1', history, answer: 'No.', stars: null, employee_answer: null })).toThrow(
      expect.objectContaining({
        details: expect.arrayContaining([
          'nearest is prompt, completion, label: --column prompt=history --column completion=answer --column label=stars',
          expect.stringContaining('--column chosen=employee_answer --column rejected=answer'),
        ]),
      }),
    )
  })

  it('suggest the columns of a table of rated answers with better ones beside them', () => {
    const ticket = { Ticket: 'L-1', Received: '01.01.2026', Channel: 'mail' }
    const texts = { 'Customer wrote': 'How do I renew?', 'We answered': 'Online.', Rating: '👎' }
    expect(() => read({ ...ticket, ...texts, 'Better answer': 'Open My Account and press Renew.' })).toThrow(
      expect.objectContaining({
        details: expect.arrayContaining([
          "nearest is prompt, completion, label: --column 'prompt=Customer wrote' --column 'completion=We answered' --column label=Rating",
          "dpo reads the rows where \"Better answer\" has an answer as pairs: --column 'prompt=Customer wrote' --column 'chosen=Better answer' --column 'rejected=We answered'",
          expect.stringContaining('for a chat model add --chat'),
        ]),
      }),
    )
  })

  it.each([
    ['4', " --label '>=4'"],
    ['4,5', " --label '>=4'"],
    ['★★★', " --label '>=4'"],
    ['fine', " --label 'fine=true,other=false'"],
    // A guest gave no stars: the next rating says what is needed
    ['', ''],
    ['up', ''],
  ])('suggest for a label %j the flag%s', (stars, flag) => {
    const guest = { Ref: 'H-1', Guest: 'Is there a lift?', Reply: 'To every floor.', Stars: stars }
    expect(() => read(guest)).toThrow(
      expect.objectContaining({
        details: expect.arrayContaining([
          `nearest is prompt, completion, label: --column prompt=Guest --column completion=Reply --column label=Stars${flag}`,
        ]),
      }),
    )
  })

  it.each([
    [{ question: 'q', reply: 'Yes, at noon.', thumb: 'up' }, 'completion=reply'],
    [{ question: 'q', good_answer: 'Yes, at noon.', label: 'up' }, 'completion=good_answer'],
    [{ question: 'q', 'preferred answer': 'Yes.', 'worse answer': 'No.' }, "'chosen=preferred answer'"],
  ])('suggest for %j %s', (record, flag) => {
    expect(() => read(record)).toThrow(
      expect.objectContaining({ details: expect.arrayContaining([expect.stringContaining(flag)]) }),
    )
  })
})
