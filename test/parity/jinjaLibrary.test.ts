/**
 * Measures what @huggingface/jinja does with the tests of src/text/jinja, to show why attune has its own template engine.
 * The library takes the place of the engine behind chat.ts. {% generation %}, whose text it cannot report, becomes a macro call
 * that puts sentinels around the text. A figure that changes after an update of the library belongs in docs/architecture.md
 * too. When all of them are 0, the engine can go.
 */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it, vi } from 'vitest'
import type { Message } from '../../src/text/chat.ts'
import { compileTemplate, renderTemplate } from '../../src/text/jinja/render.ts'
import { loadTokenizer } from '../../src/text/tokenizer.ts'
import { bytesOf } from '../../src/util/bytes.ts'
import { withWritten } from '../../src/util/jsonNotes.ts'
import { endlessTemplates, hostileTemplates } from '../support/hostileTemplates.ts'

vi.mock('../../src/text/jinja/render.ts', async () => {
  const { Template } = await import('@huggingface/jinja')
  const { badInput } = await import('../../src/util/fault.ts')
  const [begin, end] = ['\ue000\ue001', '\ue001\ue000']
  const macro = `{% macro mark_generation() %}{{ '${begin}' ~ caller() ~ '${end}' }}{% endmacro %}\n`
  const asFault = <T>(run: () => T): T => {
    try {
      return run()
    } catch (error) {
      throw badInput('template', (error as Error).message)
    }
  }
  const withSentinels = (source: string): string => {
    const marked = source
      .replace(/\{%([-+]?)\s*generation\s*([-+]?)%\}/g, '{%$1 call mark_generation() $2%}')
      .replace(/\{%([-+]?)\s*endgeneration\s*([-+]?)%\}/g, '{%$1 endcall $2%}')
    return marked === source ? source : macro + marked
  }
  return {
    /** An array with the template text, which is searched for control tokens, and the template of the library. */
    compileTemplate: (source: string) =>
      asFault(() => Object.assign([{ type: 'data', text: source }], { template: new Template(withSentinels(source)) })),
    renderTemplate: (
      { template }: { template: InstanceType<typeof Template> },
      data: Record<string, unknown>,
      { now }: { now?: () => Date } = {},
    ) => {
      if (now) vi.setSystemTime(now())
      const parts = asFault(() => template.render(data)).split(new RegExp(`(${begin}|${end})`))
      const spans: [number, number][] = []
      let [text, from] = ['', 0]
      for (const part of parts) {
        if (part === begin) from = text.length
        else if (part === end) spans.push([from, text.length])
        else text += part
      }
      return { text, spans }
    },
  }
})
afterAll(() => {
  vi.useRealTimers()
})

const folder = new URL('../fixtures/text/', import.meta.url)
const unzipped = <T>(path: string): T => JSON.parse(gunzipSync(readFileSync(new URL(path, folder))).toString())

const outcome = <T>(run: () => T): T | { error: string } => {
  try {
    return run()
  } catch (error) {
    return { error: (error as { code?: string }).code ?? String(error) }
  }
}
const rendered = (template: string, data: Record<string, unknown>): string | { error: string } =>
  outcome(() => renderTemplate(compileTemplate(template), data).text)

type Render = {
  options: Record<string, unknown>
  text?: string
  ids?: number[]
  ids_sanitized?: number[]
  assistant_mask?: string
  error?: string
}
type ChatFile = {
  template: string
  tokenizer: string
  now: string
  cases: { messages: Message[]; tools?: unknown[]; documents?: unknown[]; renders: Render[] }[]
}

const loadChat = async ({ template, tokenizer }: ChatFile) => {
  const files = unzipped<Record<string, object>>(`tokenizers/${tokenizer}.json.gz`)
  const source = (name: string, text: string) => bytesOf(name, new TextEncoder().encode(text))
  const { chat } = await loadTokenizer({
    tokenizerJson: source('tokenizer.json', JSON.stringify(files['tokenizer.json'])),
    tokenizerConfig: source('tokenizer_config.json', JSON.stringify(files['tokenizer_config.json'])),
    chatTemplates: { default: source('chat_template.jinja', template) },
  })
  return chat!
}

/**
 * How many renders of one golden file differ: in text, ids, mask or fault, and in ids with control tokens as plain
 * text.
 */
const differences = async (name: string) => {
  const file = unzipped<ChatFile>(`chat/${name}.json.gz`)
  const chat = await loadChat(file)
  const count = { all: 0, different: 0, differentSanitized: 0 }
  for (const { messages, tools, documents, renders } of file.cases)
    for (const { options: given, text, ids, ids_sanitized, assistant_mask, error } of renders) {
      const { add_generation_prompt, continue_final_message, ...variables } = given
      const options = {
        tools,
        documents,
        addGenerationPrompt: add_generation_prompt === true,
        continueFinalMessage: continue_final_message === true,
        variables,
        now: () => new Date(file.now),
      }
      const got = outcome(() => {
        const { text, ids, assistantMask } = chat.encode(messages, options)
        return { text, ids, assistant_mask: assistantMask?.join('') }
      })
      const isSame = JSON.stringify(got) === JSON.stringify(error ? { error } : { text, ids, assistant_mask })
      const clean = outcome(() => chat.encode(messages, { ...options, sanitize: true }).ids)
      // As in text.test.ts: transformers' sentinels change what this template sees
      const reads = name === 'namespace-reasoning' && JSON.stringify(messages).includes('</think>')
      const sanitized = reads ? ids : (ids_sanitized ?? ids)
      const isChecked = ids && (Array.isArray(clean) || ids_sanitized)
      count.all++
      if (!isSame) count.different++
      if (isChecked && JSON.stringify(clean) !== JSON.stringify(sanitized)) count.differentSanitized++
    }
  return count
}

describe('@huggingface/jinja', () => {
  it('is right on 13 of 15 chat templates, and on 12 with control tokens as plain text', async () => {
    const names = readdirSync(new URL('chat', folder)).map((name) => name.replace('.json.gz', ''))
    const counts = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await differences(name)] as const)),
    )
    const wrong = Object.entries(counts).filter(
      ([, { different, differentSanitized }]) => different + differentSanitized,
    )
    expect(Object.keys(counts)).toHaveLength(15)
    expect(Object.fromEntries(wrong)).toEqual({
      documents: { all: 32, different: 2, differentSanitized: 0 },
      'namespace-reasoning': { all: 62, different: 0, differentSanitized: 7 },
      rare: { all: 34, different: 34, differentSanitized: 2 },
    })
  })

  it('differs from Jinja2 on more than half of the snippets', () => {
    type Snippet = { template: string; text?: string }
    const snippets: Snippet[] = JSON.parse(readFileSync(new URL('jinja.json', folder), 'utf8'))
    const messages = [
      { role: 'user', content: 'Hello there' },
      { role: 'assistant', content: 'Hi <b>' },
      { role: 'user', content: 'Bye' },
    ]
    const written = snippets.filter(({ template, text }) => {
      const got = rendered(template, { messages, tools: null })
      return text === undefined ? typeof got === 'string' : got !== text
    })
    type Case = { template: string; document: number; text: string | null }
    const { documents, cases } = unzipped<{ documents: string[]; cases: Case[] }>('templates.json.gz')
    const random = cases.filter(({ template, document, text }) => {
      const got = rendered(template, JSON.parse(documents[document]))
      return text === null ? typeof got === 'string' : got !== text
    })
    expect([written.length, snippets.length]).toEqual([76, 130])
    expect([random.length, cases.length]).toEqual([215, 364])
  })

  it.each([
    [
      'prints Python values as JavaScript does',
      "{{ true }} {{ none }} {{ ['a'] }} {{ 4.0 / 2 }}",
      "True None ['a'] 2.0",
    ],
    ['prints 1.0 of the data as 1', '{{ data.x }} {{ data | tojson }}', '1.0 {"x": 1.0}'],
    ['drops the output of a loop iteration before break', '{% for i in [1, 2] %}{{ i }}{% break %}{% endfor %}', '1'],
    [
      'keeps a name set in one loop iteration for the next',
      '{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 1 %}{% endfor %}',
      '11',
    ],
    ['compares lists by identity', "{{ 'same' if [1] == [1] else 'other' }}", 'same'],
    ['has no tuples of one element', '{{ (1,) | length }}', '1'],
    ['has no loop.cycle', "{% for i in [1, 2] %}{{ loop.cycle('a', 'b') }}{% endfor %}", 'ab'],
    ['has no tests with arguments', "{{ 'yes' if 4 is divisibleby(2) else 'no' }}", 'yes'],
    ['has no select and reject', "{{ [1, 2] | reject('odd') | list }}", '[2]'],
    ['has no string formatting', "{{ '%05.1f' | format(2.25) }} {{ '{:>3}'.format(1) }}", '002.2   1'],
    ['has no %j (day of the year) in strftime_now', "{{ strftime_now('%j') | length }}", '3'],
    ['has no white space control with +', '{%+ if true %}a{% endif %}', 'a'],
    [
      'has no with, raw, block',
      '{% with a = 1 %}{{ a }}{% endwith %}{% raw %}{{{% endraw %}{% block b %}c{% endblock %}',
      '1{{c',
    ],
    ['counts UTF-16 units', "{{ '😀' | length }}", '1'],
    ['renders templates that Jinja2 refuses', '{{ missing.field }}{{ 1 / 0 }}', null],
  ])('%s: %s', async (_, template, jinja2) => {
    const text = '{"x":1.0}'
    const data = { data: withWritten(JSON.parse(text), text) }
    const engine = await vi.importActual<typeof import('../../src/text/jinja/render.ts')>(
      '../../src/text/jinja/render.ts',
    )
    const ours = outcome(() => engine.renderTemplate(engine.compileTemplate(template), data).text)
    expect(ours).toEqual(jinja2 ?? { error: 'template' })
    expect(rendered(template, data)).not.toEqual(ours)
  })
})

/** Renders each line of its input, a template in JSON, and prints one line for each. */
const script = `
import { createInterface } from 'node:readline'
import { Template } from '@huggingface/jinja'
process.stdout.write('ready\\n')
for await (const line of createInterface({ input: process.stdin })) {
  let ended = 'rendered'
  try {
    new Template(JSON.parse(line)).render({ messages: [{ role: 'user', content: 'hi' }] })
  } catch {
    ended = 'refused'
  }
  process.stdout.write(ended + '\\n')
}`

/**
 * How the library ends templates in a process of its own, one after the other; the process is killed after so many
 * seconds.
 */
const endings = (templates: readonly string[], seconds: number): Promise<string[]> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ['--max-old-space-size=512', '--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const lines: string[] = []
    let timer: NodeJS.Timeout | undefined
    const kill = () => child.kill('SIGKILL')
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'ready') timer = setTimeout(kill, seconds * 1000)
      else if (lines.push(line) === templates.length) kill()
    })
    child.on('exit', () => {
      clearTimeout(timer)
      resolve(lines)
    })
    child.stdin.on('error', () => {})
    child.stdin.write(templates.map((template) => `${JSON.stringify(template)}\n`).join(''))
  })

describe('a hostile template in @huggingface/jinja', () => {
  it.concurrent.each(endlessTemplates.map((template) => [template.slice(0, 80), template]))(
    'never ends, or crashes the process: %s',
    async (_, template) => {
      expect(await endings([template], 1)).toEqual([])
    },
  )

  it.concurrent('ends in all other cases', async () => {
    // A list that doubles until memory runs out ends differently in different Node versions
    const others = hostileTemplates.filter(
      (template) => !endlessTemplates.includes(template) && !template.includes('ns.l + ns.l'),
    )
    const ended = await endings(others, 60)
    expect(ended).toHaveLength(others.length)
    expect(ended.filter((how) => how === 'rendered')).toHaveLength(4)
  }, 90_000)
})
