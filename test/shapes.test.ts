/**
 * Twenty files as people have them are read and trained on with at most one flag, and twenty spoiled ones end with a
 * message that names the mend. Every file is trained on through the command line, inside this process.
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { main } from '../src/cli/main.ts'
import { type TextExample, textExample } from '../src/data/examples.ts'
import { openRows } from '../src/data/openRows.node.ts'
import { loadTokenizerFolder } from '../src/text/tokenizer.node.ts'
import { fixture } from './support/golden.ts'
import { errorOf } from './support/runs.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-shapes-'))
const at = (name: string) => join(root, name)
const template = `{% for m in messages %}{{ m.role }}
{{ m.content or '' }}
{% if m.tool_calls %}{{ m.tool_calls | tojson }}
{% endif %}{% endfor %}{% if add_generation_prompt %}assistant
{% endif %}`

beforeAll(() => {
  vi.stubEnv('ATTUNE_CACHE', at('cache'))
  process.stdout.setMaxListeners(200)
  process.stderr.setMaxListeners(200)
  cpSync(fixture('models/stories260K'), at('model'), { recursive: true })
  writeFileSync(at('model/chat_template.jinja'), template)
})
afterEach(() => void (process.exitCode = undefined))
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

let made = 0
type Method = 'sft' | 'dpo' | 'kto'
const kinds = { sft: 'sft', dpo: 'ranking', kto: 'unpaired' } as const

/** Records as jsonl, a text as it is. */
const put = (content: readonly object[] | string, ending = 'jsonl') => {
  const path = at(`file${made++}.${ending}`)
  writeFileSync(path, typeof content === 'string' ? content : content.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}

/** Trains for a step. @returns exit code, what went to stderr, and whether the run came to its end */
const train = async (method: Method, file: string, flags: readonly string[]) => {
  const output = at(`run${made++}`)
  const written: string[] = []
  const keep = (text: unknown, ...more: unknown[]) => {
    written.push(String(text))
    const done = more.find((one) => typeof one === 'function') as (() => void) | undefined
    done?.()
    return true
  }
  const spies = [process.stderr, process.stdout].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation(keep as never),
  )
  const common = ['--model', at('model'), '--data', file, '--max-steps', '1', '--output', output, '--json']
  await main([method, ...common, ...flags]).finally(() => {
    for (const spy of spies) spy.mockRestore()
  })
  return { code: process.exitCode ?? 0, text: written.join(''), trained: written.join('').includes('"event":"end"') }
}

const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string, more: object = {}) => ({ role: 'assistant', content, ...more })
const human = (value: string) => ({ from: 'human', value })
const gpt = (value: string) => ({ from: 'gpt', value })
const post = (message_id: string, parent_id: string | null, role: string, text: string, rank: number | null) => ({
  message_id,
  parent_id,
  message_tree_id: 'a',
  role,
  text,
  rank,
  lang: 'en',
})
const reply = (text: string, rank: number | null, replies: object[] = []) => ({
  message_id: text,
  role: 'assistant',
  text,
  rank,
  replies,
})
const tool = { type: 'function', function: { name: 'add', parameters: { type: 'object', properties: {} } } }

type Good = [
  name: string,
  method: Method,
  content: readonly object[] | string,
  rows: readonly object[],
  flags?: readonly string[],
  ending?: string,
]

const good: Good[] = [
  [
    'ShareGPT, with an id that repeats',
    'sft',
    [
      { id: 'a', conversations: [human('Hi'), gpt('Hello!')] },
      { id: 'a', conversations: [human('Bye'), gpt('So long.')] },
    ],
    [{ id: 'a', messages: [user('Hi'), assistant('Hello!')] }, { id: 'a' }],
  ],
  [
    'Alpaca',
    'sft',
    [
      { instruction: 'Add.', input: '1 and 2', output: '3' },
      { instruction: 'Greet.', input: '', output: 'Hello.' },
    ],
    [
      { prompt: [user('Add.\n1 and 2')], completion: '3' },
      { prompt: [user('Greet.')], completion: 'Hello.' },
    ],
  ],
  [
    'Alpaca of LLaMA-Factory with system and history',
    'sft',
    [{ instruction: 'And now?', input: '', output: 'Four.', system: 'Be brief.', history: [['2+1?', 'Three.']] }],
    [
      {
        prompt: [{ role: 'system', content: 'Be brief.' }, user('2+1?'), assistant('Three.'), user('And now?')],
        completion: 'Four.',
      },
    ],
  ],
  [
    'Dolly',
    'sft',
    [{ instruction: 'Who?', context: 'Ada wrote it.', response: 'Ada.', category: 'closed_qa' }],
    [{ prompt: [user('Who?\nAda wrote it.')], completion: 'Ada.' }],
  ],
  [
    'OpenAI fine-tuning with tools, weight 0 and content null',
    'sft',
    [
      {
        messages: [
          user('1+2?'),
          assistant('Five', { weight: 0 }),
          user('No.'),
          { role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'add' } }] },
          { role: 'tool', tool_call_id: 'c', content: '3' },
          assistant('3', { weight: 1 }),
        ],
        tools: [tool],
        parallel_tool_calls: false,
      },
    ],
    [{ kind: 'messages', template: { tools: [tool] } }],
  ],
  [
    'OpenAI preferences',
    'dpo',
    [
      {
        input: { messages: [user('Hi')], tools: [], parallel_tool_calls: true },
        preferred_output: [assistant('Hello!')],
        non_preferred_output: [assistant('What.')],
      },
    ],
    [{ prompt: [user('Hi')], responses: ['Hello!', 'What.'], ranks: [1, 2] }],
  ],
  ['turns', 'sft', [{ turns: [user('Hi'), assistant('Hello!')] }], [{ messages: [user('Hi'), assistant('Hello!')] }]],
  [
    'turns that are texts, the user first',
    'sft',
    [{ turns: ['Hi', 'Hello!'] }],
    [{ messages: [user('Hi'), assistant('Hello!')] }],
  ],
  [
    'Capybara: conversation of input and output',
    'sft',
    [{ source: 'x', conversation: [{ input: 'Hi', output: 'Hello!' }] }],
    [{ messages: [user('Hi'), assistant('Hello!')] }],
  ],
  [
    'OpenAssistant messages',
    'dpo',
    [
      post('1', null, 'prompter', 'Hi?', null),
      post('2', '1', 'assistant', 'Worse.', 1),
      post('3', '1', 'assistant', 'Better.', 0),
      post('4', '3', 'prompter', 'More.', null),
      post('5', '4', 'assistant', 'Alone.', null),
      post('6', null, 'prompter', 'Yo?', null),
      post('7', '6', 'assistant', 'a', 0),
      post('8', '6', 'assistant', 'b', 1),
    ],
    [
      { id: '1', prompt: [user('Hi?')], responses: ['Better.', 'Worse.'], ranks: [1, 2] },
      { id: '6', prompt: [user('Yo?')], responses: ['a', 'b'], ranks: [1, 2] },
    ],
  ],
  [
    'OpenAssistant trees, for fine-tuning',
    'sft',
    [
      {
        message_tree_id: 'a',
        tree_state: 'ready_for_export',
        prompt: {
          message_id: '1',
          role: 'prompter',
          text: 'Hi?',
          replies: [
            reply('Worse.', 1),
            reply('Better.', 0, [
              { message_id: '4', role: 'prompter', text: 'More.', replies: [reply('Alone.', null)] },
            ]),
          ],
        },
      },
    ],
    [
      { prompt: [user('Hi?')], completion: 'Better.' },
      { prompt: [user('Hi?'), assistant('Better.'), user('More.')], completion: 'Alone.' },
    ],
  ],
  [
    'LLaMA-Factory ranking of ShareGPT',
    'dpo',
    [{ conversations: [human('Hi')], chosen: gpt('Hello!'), rejected: gpt('What.') }],
    [{ prompt: [user('Hi')], responses: ['Hello!', 'What.'] }],
  ],
  [
    'LLaMA-Factory ranking of Alpaca',
    'dpo',
    [{ instruction: 'Greet.', input: '', chosen: 'Hello!', rejected: 'What.' }],
    [{ prompt: [user('Greet.')], responses: ['Hello!', 'What.'] }],
  ],
  [
    'LLaMA-Factory kto_tag of ShareGPT',
    'kto',
    [
      { conversations: [human('Hi'), gpt('Hello!')], kto_tag: true },
      { conversations: [human('Hi'), gpt('What.')], kto_tag: false },
    ],
    [
      { prompt: [user('Hi')], completion: [assistant('Hello!')], label: true },
      { prompt: [user('Hi')], completion: [assistant('What.')], label: false },
    ],
    ['--batch-size=2'],
  ],
  [
    "TRL's implicit prompt of conversations, tools null",
    'dpo',
    [{ chosen: [user('Hi'), assistant('Hello!')], rejected: [user('Hi'), assistant('What.')], tools: null }],
    [{ prompt: [user('Hi')], responses: ['Hello!', 'What.'] }],
  ],
  [
    "TRL's conversational prompt with reasoning and template variables",
    'dpo',
    [
      {
        prompt: [user('Hi')],
        chosen: [assistant('Hello!', { reasoning_content: 'greet' })],
        rejected: [assistant('What.')],
        chat_template_kwargs: { enable_thinking: true },
      },
    ],
    [
      {
        responses: [[assistant('Hello!', { reasoning_content: 'greet' })], 'What.'],
        template: { variables: { enable_thinking: true } },
      },
    ],
  ],
  [
    'two responses and a winner',
    'dpo',
    [
      { prompt: 'Hi', response_a: ' Hello!', response_b: ' What.', winner: 'model_a' },
      { prompt: 'Hi', response_a: ' What.', response_b: ' Hello!', winner: 'b' },
    ],
    [
      { responses: [' Hello!', ' What.'], ranks: [1, 2] },
      { responses: [' What.', ' Hello!'], ranks: [2, 1] },
    ],
  ],
  [
    'thumbs in a spreadsheet',
    'kto',
    'prompt,completion,label\nHi, Hello!,👍\nHi, What.,👎\n',
    [
      { completion: ' Hello!', label: true },
      { completion: ' What.', label: false },
    ],
    [],
    'csv',
  ],
  [
    'stars, and what they mean',
    'kto',
    [
      { prompt: 'Hi', completion: ' Hello!', label: 5 },
      { prompt: 'Hi', completion: ' What.', label: 1 },
    ],
    [{ label: true }, { label: false }],
    ['--label=>=4'],
  ],
  [
    'columns of their own',
    'dpo',
    [{ id: 7, question: 'Hi', answer_good: ' Hello!', answer_bad: ' What.' }],
    [{ prompt: 'Hi', responses: [' Hello!', ' What.'] }],
    ['--column', 'prompt=question', 'chosen=answer_good', 'rejected=answer_bad'],
  ],
]

describe('a file as people have it', () => {
  it.each(good)('%s', async (_, method, content, rows, flags = [], ending = 'jsonl') => {
    const file = put(content, ending)
    const label = flags.find((flag) => flag.startsWith('--label='))?.slice('--label='.length)
    const columns = Object.fromEntries(
      flags.filter((flag) => /^\w+=\w+$/.test(flag)).map((flag) => flag.split('=') as [string, string]),
    )
    const opened = await openRows(file, { as: kinds[method], columns, label })
    const read = await Promise.all(Array.from({ length: opened.length }, (_, i) => opened.row(i)))
    await opened.close()
    expect(read).toMatchObject(rows)
    const run = await train(method, file, flags)
    expect(run).toMatchObject({ code: 0, trained: true })
  })
})

type Spoiled = [name: string, method: Method, content: readonly object[] | string, says: string, flags?: string[]]

const spoiled: Spoiled[] = [
  [
    'names of their own',
    'dpo',
    [{ question: 'Hi', answer_good: 'a', answer_bad: 'b' }],
    '--column prompt=question --column chosen=answer_good --column rejected=answer_bad',
  ],
  [
    'a prompt, and names of their own',
    'dpo',
    [{ prompt: 'Hi', better: 'a', worse: 'b' }],
    '--column chosen=better --column rejected=worse',
  ],
  ['one misspelt column', 'dpo', [{ prompt: 'Hi', choosen: 'a', rejected: 'b' }], '--column chosen=choosen'],
  ['one column under another name', 'dpo', [{ prompt: 'Hi', chosen: 'a', loser: 'b' }], '--column rejected=loser'],
  [
    'pairs without the second response',
    'dpo',
    [{ question: 'Hi', answer: 'Hello!' }],
    'dpo and reward need prompt, chosen and rejected',
  ],
  [
    'questions and answers',
    'sft',
    [{ question: 'Hi', answer: 'Hello!' }],
    '--column prompt=question --column completion=answer',
  ],
  [
    'columns in another language, told by their values',
    'sft',
    [{ nr: 1, titel: 'Wer?', inhalt: 'Das war ein sehr langer Satz.' }],
    '--column prompt=titel --column completion=inhalt',
  ],
  [
    'a chat under another name',
    'sft',
    [{ id: 1, thread: [user('Hi'), assistant('Hello!')] }],
    '--column messages=thread',
  ],
  ['one column of text', 'sft', [{ id: 1, body: 'Once upon a time.' }], '--column text=body'],
  ['no text at all', 'sft', [{ x: 1, y: 2 }], 'no column holds a text'],
  [
    'texts inside an object',
    'sft',
    [{ id: 1, payload: { prompt: 'Hi', answer: 'Hello!' } }],
    'objects are in "payload": write what is inside as columns',
  ],
  [
    'ratings without a threshold',
    'kto',
    [{ prompt: 'Hi', completion: 'a', label: 4 }],
    "is the rating 4; say from which rating on a completion is good: --label '>=4'",
  ],
  [
    'words for labels that say nothing',
    'kto',
    [{ prompt: 'Hi', completion: 'a', label: 'hoch' }],
    "--label 'hoch=true,other=false'",
  ],
  [
    'a label that the rule leaves out',
    'kto',
    [{ prompt: 'Hi', completion: 'a', label: 'left' }],
    "which --label 'up=true,down=false' does not name",
    ['--label', 'up=true,down=false'],
  ],
  [
    'a rule that is none',
    'kto',
    [{ prompt: 'Hi', completion: 'a', label: 'x' }],
    "a threshold such as '>=4'",
    ['--label', 'x'],
  ],
  [
    'thumbs under names of their own',
    'kto',
    [{ question: 'Hi', answer: 'Hello!', thumbs: 'up' }],
    '--column prompt=question --column completion=answer --column label=thumbs',
  ],
  [
    'ratings under names of their own',
    'kto',
    [{ prompt: 'Hi', response: 'Hello!', stars: 4 }],
    "--column completion=response --column label=stars --label '>=4'",
  ],
  [
    'a column that --column names wrong',
    'dpo',
    [{ q: 'Hi', good: 'a', bad: 'b' }],
    'columns are q, good, bad',
    ['--column', 'prompt=ask'],
  ],
  [
    'a winner that is neither',
    'dpo',
    [{ prompt: 'Hi', response_a: 'a', response_b: 'b', winner: 'gpt-4' }],
    'write a, b or tie',
  ],
  [
    'questions of a benchmark',
    'sft',
    [{ question_id: 1, turns: ['Why?', 'And then?'] }],
    'write {"prompt": first question} for each',
  ],
]

describe('a spoiled file ends with a message that names the mend', () => {
  it.each(spoiled)('%s', async (_, method, content, says, flags = []) => {
    const { code, text } = await train(method, put(content), flags)
    expect(errorOf({ stderr: text })).toHaveLength(1)
    // The mend may stand on a line of its own below the message
    expect(text).toContain(says)
    expect(code).toBe(2)
  })
})

it('turns with weight 0 or train false do not count, and every other token does', async () => {
  const tokenizer = (await loadTokenizerFolder(at('model')))!
  const messages = [user('1+2?'), assistant('Five', { weight: 0 }), user('No.'), assistant('3')]
  const row = { kind: 'messages' as const, messages }
  const options = { assistantOnly: false, completionOnly: true }
  const made = textExample(tokenizer, row, { maxLength: 1024 }, options, () => {}) as TextExample
  const left = made.ids.filter((_, t) => !made.targets[t])
  expect(tokenizer.decode(left).trim()).toBe('Five')
  expect(made.targets.filter((target) => target).length).toBe(made.ids.length - left.length)
})

it('the first lines say how labels were read', async () => {
  const file = put([
    { prompt: 'Hi', completion: ' Hello!', label: 'up' },
    { prompt: 'Hi', completion: ' What.', label: 'down' },
    { prompt: 'Hi', completion: ' Hm.', label: 'down' },
  ])
  const { text } = await train('kto', file, [])
  const event = text.split('\n').find((line) => line.includes('labels-read'))
  const { code, message, count } = JSON.parse(event!)
  expect([code, message, count]).toEqual([
    'labels-read',
    'labels were read as: good "up" (1); bad "down" (2)',
    undefined,
  ])
})
