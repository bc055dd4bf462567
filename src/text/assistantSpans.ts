/**
 * What the assistant says in a rendered conversation, for chat templates without {% generation %} marks: found by
 * rendering each turn with and without what follows.
 *
 * A turn begins where the rendering of the messages before it ends, with its generation prompt. It ends with the first
 * token that closes a turn behind the last character that came from the message. Which token that is, is seen on a
 * short conversation. Where any of this does not hold, the conversation is refused: a mask is exact or there is none.
 */
import { badInput, Fault } from '../util/fault.ts'
import { markMessages } from './controlTokens.ts'
import { origins } from './jinja/marks.ts'

type Message = { readonly [field: string]: unknown }

/** Renders messages, with the options of the conversation. */
export type RenderTurns = (
  messages: readonly Message[],
  options: { addGenerationPrompt?: boolean; marked?: boolean },
) => string

type Span = [start: number, end: number]

/**
 * [start, end) of each of the assistant's turns, in UTF-16 units of the text.
 * @param text the rendered conversation
 * @param special texts of the special tokens
 * @throws Fault no-generation-marks
 */
export const assistantSpans = (
  text: string,
  messages: readonly Message[],
  render: RenderTurns,
  special: readonly string[],
): Span[] => {
  if (!messages.some(isAssistant)) return []
  const turn = turnOf(render, special)
  const written = renderedData(messages, () => true, text, render)
  const spans: Span[] = []
  for (const [i, message] of messages.entries()) {
    if (!isAssistant(message)) continue
    const own = placesOf(renderedData(messages, (k) => k === i, text, render))
    const start = i === 0 ? firstStart(text, turn, special) : startBehind(messages.slice(0, i), text, render)
    if (own && own[0] < start) throw refused('the template prints a part of a turn before its beginning')
    const behind = own ? own[1] : start
    const end = turnEnd(text, behind, messages, i, turn, render)
    if (!turn.prompt && text.slice(start, own ? own[0] : end - (turn.closing?.length ?? 0)).trim())
      throw refused('it has no generation prompt, so nothing says where the header of a turn ends')
    if (start < (spans.at(-1)?.[1] ?? 0)) throw refused('its turns overlap')
    for (let at = behind; at < end; at++)
      if (written[at]) throw refused('a turn is not closed before the next message begins')
    spans.push([start, end])
  }
  return spans
}

const isAssistant = ({ role }: Message) => role === 'assistant'

const refused = (why: string) =>
  badInput(
    'no-generation-marks',
    `the chat template does not mark what the assistant says ({% generation %}), and it cannot be derived: ${why}; add the marks, or leave --assistant-only-loss out`,
  )

/** How the template opens and closes a turn of the assistant. */
type Turn = {
  /** What it writes for `addGenerationPrompt`; empty where it has no generation prompt. */
  prompt: string
  /** The special token at the end of a turn. */
  closing: string | undefined
}

const question = { role: 'user', content: 'x' }
const answer = { role: 'assistant', content: 'y' }

const turnOf = (render: RenderTurns, special: readonly string[]): Turn => {
  try {
    const both = [question, answer]
    const text = render(both, {})
    const own = placesOf(renderedData(both, (k) => k === 1, text, render))
    if (!own) throw refused('it does not print what the assistant says')
    const [bare, prompted] = [false, true].map((addGenerationPrompt) => render([question], { addGenerationPrompt }))
    return { prompt: differenceOf(bare, prompted, special), closing: firstToken(text, own[1], special) }
  } catch (error) {
    if (error instanceof Fault && error.code === 'template')
      throw refused(`it does not render a question and an answer (${error.message})`)
    throw error
  }
}

/** What `longer` has behind the common beginning, which ends before a special token that it would cut. */
const differenceOf = (shorter: string, longer: string, special: readonly string[]): string => {
  let at = 0
  while (at < shorter.length && shorter[at] === longer[at]) at++
  const cut = special.flatMap((token) => {
    const from = longer.lastIndexOf(token, at)
    return from >= 0 && from < at && at < from + token.length ? [from] : []
  })
  return longer.slice(Math.min(at, ...cut))
}

/** The special token that comes first at or behind a place; of several there the longest. */
const firstToken = (text: string, from: number, special: readonly string[]): string | undefined => {
  const found = special
    .map((token) => ({ token, at: text.indexOf(token, from) }))
    .filter(({ token, at }) => token && at >= 0)
  found.sort((a, b) => a.at - b.at || b.token.length - a.token.length)
  return found[0]?.token
}

const startBehind = (before: readonly Message[], text: string, render: RenderTurns): number => {
  const beginning = attempt(() => render(before, { addGenerationPrompt: true }))
  if (beginning !== undefined && text.startsWith(beginning)) return beginning.length
  throw refused('what comes before a turn is rendered differently without the turn')
}

/** The beginning of a conversation that opens with the assistant's turn, which nothing can be rendered before. */
const firstStart = (text: string, { prompt }: Turn, special: readonly string[]): number => {
  const at = text.indexOf(prompt)
  const before = special.reduce((rest, token) => rest.replaceAll(token, ''), text.slice(0, Math.max(0, at)))
  if (at < 0 || before.trim()) throw refused('the conversation begins with the assistant, behind text of the template')
  return at + prompt.length
}

const turnEnd = (
  text: string,
  behind: number,
  messages: readonly Message[],
  i: number,
  { closing }: Turn,
  render: RenderTurns,
): number => {
  if (closing !== undefined) {
    const at = text.indexOf(closing, behind)
    if (at >= 0) return at + closing.length
    throw refused('a turn does not end as others do')
  }
  const through = attempt(() => render(messages.slice(0, i + 1), {}))
  if (through !== undefined && text.startsWith(through)) return through.length
  throw refused('a turn is rendered differently without what follows it')
}

/** Undefined where the template refuses the messages. */
const attempt = (run: () => string): string | undefined => {
  try {
    return run()
  } catch (error) {
    if (error instanceof Fault) return undefined
    throw error
  }
}

/** For each UTF-16 unit of the text, 1 where it came from one of the chosen messages. */
const renderedData = (
  messages: readonly Message[],
  chosen: (i: number) => boolean,
  text: string,
  render: RenderTurns,
): Uint8Array => {
  const marked = messages.map((message, i) => (chosen(i) ? markMessages([message], [])[0] : message))
  const { text: unmarked, data } = origins(render(marked, { marked: true }))
  if (!text.startsWith(unmarked)) throw refused('it reads messages in a way that hides which of its text is theirs')
  const units = new Uint8Array(text.length)
  let at = 0
  let point = 0
  for (const char of unmarked) {
    if (data[point++]) units.fill(1, at, at + char.length)
    at += char.length
  }
  return units
}

/** From the first to behind the last unit that is set. */
const placesOf = (units: Uint8Array): Span | undefined => {
  const first = units.indexOf(1)
  return first < 0 ? undefined : [first, units.lastIndexOf(1) + 1]
}
