/** Fuzz targets for settings, for requests and responses of servers, and for JSON itself. */
import { parse } from 'yaml'
import { z } from 'zod'
import { checkSettings, parseSettings } from '../../src/cli/settings.ts'
import { readCompletion, usageIn } from '../../src/endpoint/client.ts'
import { chatSchema, completionSchema, parseBody } from '../../src/serve/schemas.ts'
import { jsonOf, parseJson } from '../../src/util/json.ts'
import { changedText, soup, speech } from './mutate.ts'
import type { Target } from './targets.ts'

const settings = z.object({
  model: z.string().optional(),
  steps: z.number().optional(),
  data: z.array(z.string()).optional(),
})
const yamlWords = [
  'model',
  'steps',
  'data',
  ': ',
  '\n',
  '- ',
  '  ',
  '[',
  ']',
  '{',
  '}',
  ',',
  '"',
  "'",
  '|',
  '>',
  '&a ',
  '*a',
  '<<: ',
  '!!binary',
  '? ',
  '1',
  '1e9',
  '.inf',
  'null',
  '~',
  '#',
  '%YAML',
  '---\n',
  '\t',
  '0x1f',
  '__proto__',
]
const requests: unknown[] = [
  {
    model: 'm',
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'ho', reasoning: 'x' },
    ],
    temperature: 0.5,
    top_p: 0.9,
    stop: ['x'],
    logit_bias: { '1': 2 },
    n: 2,
  },
  {
    model: 'm',
    prompt: ['a', 'b'],
    max_tokens: 5,
    logprobs: 2,
    seed: 1,
    stream: true,
    stream_options: { include_usage: true },
  },
  { model: 'm', prompt: [1, 2, 3], presence_penalty: 1, frequency_penalty: -1, echo: true },
]
const responses: unknown[] = [
  {
    choices: [{ message: { content: 'a', role: 'assistant' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1, completion_tokens: 2 },
  },
  { choices: [{ text: 'a', finish_reason: 'length' }], usage: null },
]

export const serverTargets: readonly Target[] = [
  {
    name: 'settings',
    weight: 1,
    isText: true,
    make: speech(yamlWords, 24, [Buffer.from('model: x\nsteps: 3\ndata:\n- a\n- b\n')]),
    run: (input) => {
      const value = parseSettings(input as string, 'x.yaml', parse)
      if (typeof value === 'object' && value !== null && !Array.isArray(value))
        checkSettings(settings, value as Record<string, unknown>)
    },
  },
  {
    name: 'request',
    weight: 4,
    isText: true,
    make: changedText(requests),
    run: (input) => {
      const body = JSON.parse(input as string)
      parseBody(body !== null && typeof body === 'object' && 'prompt' in body ? completionSchema : chatSchema, body)
    },
  },
  {
    name: 'answer',
    weight: 6,
    isText: true,
    make: changedText(responses),
    run: (input) => {
      const body = jsonOf(input as string, { file: 'x' })
      usageIn(body)
      const answer = readCompletion((input as string).includes('"message"') ? 'chat' : 'text', body)
      if (typeof answer !== 'string' && typeof answer.text !== 'string') throw new Error('an answer without a text')
    },
  },
  {
    name: 'json-text',
    weight: 10,
    isText: true,
    make: (r) =>
      soup(
        [
          '{',
          '}',
          '[',
          ']',
          '"a"',
          ':',
          ',',
          '1',
          '-0',
          '1e5',
          'null',
          'true',
          '"\\u00e9"',
          '"',
          '\\',
          ' ',
          '\n',
          '01',
          '.5',
        ],
        14,
        r,
      ),
    run: (input) => {
      const text = input as string
      let offset = -1
      let mine: unknown
      try {
        mine = parseJson(text, (at) => {
          offset = at
          return new SyntaxError('refused')
        })
      } catch (error) {
        if (offset < 0 || offset > text.length) throw error
      }
      if (offset < 0) {
        if (JSON.stringify(mine) !== JSON.stringify(JSON.parse(text)))
          throw new Error('another value than JSON.parse gives')
        return JSON.stringify(mine).length
      }
      let sound = true
      try {
        JSON.parse(text)
      } catch {
        sound = false
      }
      if (sound) throw new Error('JSON that was refused')
    },
  },
]
