/**
 * The Modelfile of a GGUF file: what `ollama create` reads. Ollama has templates of Go's, not of Jinja's; it knows some chat templates by
 * their text and gives a model with any other none. So the template is written out here. Its texts around each turn are found by
 * rendering conversations of marked turns, and they are kept only where they give the same prompts as the chat template. Source:
 * docs/modelfile.mdx and docs/template.mdx of Ollama.
 */
import type { ChatTemplate, Message } from '../text/chat.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'

type Turn = { before: string; after: string }

/** A chat template that writes each turn between two texts, whatever the others are. */
export type TurnTemplate = {
  /** At the beginning of every prompt. */
  start: string
  system: Turn
  user: Turn
  assistant: Turn
  /** Before the answer. */
  generation: string
  /** What stands in place of the system's turn where there is none. */
  withoutSystem: string
}

const marks = { system: 'SYSTEMMARK', user: 'USERMARK', assistant: 'ASSISTANTMARK' }
const [system, user, assistant] = Object.entries(marks).map(([role, content]) => ({ role, content }))

/** The texts around turns; undefined for a template that does more than put them there. */
export const turnTemplate = (chat: ChatTemplate): TurnTemplate | undefined => {
  try {
    const found = textsOf(chat)
    return found && probes.every((messages) => rendered(chat, messages) === expanded(found, messages))
      ? found
      : undefined
  } catch {
    // a template that refuses a conversation, such as one with a system's turn
    return undefined
  }
}

const rendered = (chat: ChatTemplate, messages: readonly Message[]) =>
  chat.render(messages, { addGenerationPrompt: true }).text

const textsOf = (chat: ChatTemplate): TurnTemplate | undefined => {
  const whole = rendered(chat, [system, user, assistant, user])
  const parts = whole.split(new RegExp(Object.values(marks).join('|')))
  if (parts.length !== 5) return undefined
  const plain = rendered(chat, [user])
  const noGeneration = chat.render([user], { addGenerationPrompt: false }).text
  const [head, tail] = plain.split(marks.user)
  const userEnd = noGeneration.split(marks.user)[1]
  const answered = chat.render([user, assistant], { addGenerationPrompt: false }).text
  const assistantEnd = answered.split(marks.assistant)[1]
  if (tail === undefined || userEnd === undefined || assistantEnd === undefined) return undefined
  if (!tail.startsWith(userEnd)) return undefined
  const generation = tail.slice(userEnd.length)
  const [first, toUser, toAssistant, toUserAgain, end] = parts
  if (end !== tail || !toAssistant.startsWith(userEnd) || !toUserAgain.startsWith(assistantEnd)) return undefined
  const assistantBefore = toAssistant.slice(userEnd.length)
  const userBefore = toUserAgain.slice(assistantEnd.length)
  if (!head.endsWith(userBefore) || !toUser.endsWith(userBefore)) return undefined
  const beforeUser = head.slice(0, head.length - userBefore.length)
  const start = first.startsWith(beforeUser) ? beforeUser : ''
  return {
    start,
    system: { before: first.slice(start.length), after: toUser.slice(0, toUser.length - userBefore.length) },
    user: { before: userBefore, after: userEnd },
    assistant: { before: assistantBefore, after: assistantEnd },
    generation,
    withoutSystem: start ? '' : beforeUser,
  }
}

/** Conversations by which a template is tried. */
const said = (role: string, content: string) => ({ role, content })
const probes: readonly (readonly Message[])[] = [
  [said('user', 'Hello, who are you?')],
  [said('system', 'You are brief.'), said('user', 'Hi')],
  [said('user', 'a'), said('assistant', 'b'), said('user', 'c')],
  [
    said('system', 's'),
    said('user', 'a'),
    said('assistant', 'b'),
    said('user', 'c'),
    said('assistant', 'd'),
    said('user', 'e'),
  ],
  [said('user', 'two\nlines {{ .Content }}')],
]

/** A prompt by the texts, as Ollama makes it. */
export const expanded = (texts: TurnTemplate, messages: readonly Message[]): string => {
  const turns = messages.map(({ role, content }) => {
    const turn = texts[role as 'system' | 'user' | 'assistant']
    return turn.before + content + turn.after
  })
  const silent = messages[0].role === 'system' ? '' : texts.withoutSystem
  return texts.start + silent + turns.join('') + texts.generation
}

/** A text inside a template of Go's. */
const literal = (text: string): string => text.replaceAll('{{', '{{ "{{" }}')

/** @param bos what llama.cpp puts before every prompt itself, and the template therefore must not */
export const goTemplate = (texts: TurnTemplate, bos = ''): string => {
  const own = (text: string) => (bos && text.startsWith(bos) ? text.slice(bos.length) : text)
  const before = { system: texts.start ? texts.system.before : own(texts.system.before), user: texts.user.before }
  const turn = (role: 'system' | 'user', condition: string) =>
    `{{ ${condition} eq .Role "${role}" }}${literal(before[role])}{{ .Content }}${literal(texts[role].after)}`
  const silent = texts.withoutSystem
    ? `{{ if ne (index .Messages 0).Role "system" }}${literal(own(texts.withoutSystem))}{{ end }}`
    : ''
  return [
    literal(own(texts.start)),
    silent,
    '{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}',
    turn('system', 'if'),
    turn('user', 'else if'),
    // an answer that is to be continued has no end yet
    `{{ else if eq .Role "assistant" }}${literal(texts.assistant.before)}{{ .Content }}{{ if not $last }}${literal(texts.assistant.after)}{{ end }}{{ end }}`,
    `{{ if and $last (ne .Role "assistant") }}${literal(texts.generation)}{{ end }}{{ end }}`,
  ].join('')
}

export type ModelfileFacts = {
  /** The name of the GGUF file, which lies beside. */
  gguf: string
  chat?: ChatTemplate
  /** The token that llama.cpp puts before a prompt. */
  bos?: string
  /** Texts that end an answer. */
  stops: readonly string[]
  /** generation_config.json. */
  sampling: Readonly<Record<string, unknown>>
  system?: string
}

/** Names of Ollama's parameters by those of generation_config.json. */
const parameters: Readonly<Record<string, string>> = {
  temperature: 'temperature',
  top_k: 'top_k',
  top_p: 'top_p',
  min_p: 'min_p',
  repetition_penalty: 'repeat_penalty',
}

export const modelfile = ({ gguf, chat, bos, stops, sampling, system }: ModelfileFacts): string => {
  if (system?.includes('"""'))
    throw badInput('bad-flag', 'holds """, which ends a text in a Modelfile', { flag: '--system' })
  const texts = chat && turnTemplate(chat)
  const template = texts && goTemplate(texts, bos)
  const usable = template !== undefined && !template.includes('"""')
  const lines = [
    `# ollama create NAME -f ${gguf.replace(/\.gguf$/, '')}.Modelfile`,
    `FROM ./${gguf}`,
    ...(usable ? [`TEMPLATE """${template}"""`] : []),
    ...(!usable && chat
      ? ['# The chat template does more than put texts around turns. Ollama looks in the file for one that it knows.']
      : []),
    ...(chat
      ? []
      : ['# The model has no chat template: prompts are given to it as they are.', 'TEMPLATE {{ .Prompt }}']),
    ...(system === undefined ? [] : [`SYSTEM """${system}"""`]),
    ...stops.map((stop) => `PARAMETER stop ${quoted(stop)}`),
    ...Object.entries(parameters).flatMap(([key, name]) =>
      typeof sampling[key] === 'number' ? [`PARAMETER ${name} ${sampling[key]}`] : [],
    ),
  ]
  return `${lines.join('\n')}\n`
}
