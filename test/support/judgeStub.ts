/**
 * An OpenAI-compatible judge of known behaviour on a loopback port: a given share of its verdicts is garbage, a share goes to
 * the answer that stands first, a share to the longer one, and the rest to the better one by a rule that the test knows. It
 * reads prompts with `<answer_a>`, `<answer_b>` and `<answer>` tags, as attune's own are; to others it says something. What it says depends on the request
 * alone (temperature 0), so a repeated request gets the same verdict.
 */
import { createHash } from 'node:crypto'
import { type Asked, answered, type FakeEndpoint, fakeEndpoint, send } from './fakeEndpoint.ts'

export type JudgeStubOptions = {
  /** Share of verdicts without a verdict; 0 by default, as all shares. */
  garbage?: number
  /** Share of verdicts for the answer that stands first, whatever is in it. */
  first?: number
  /** Share of verdicts for the longer answer. */
  longer?: number
  /** How good an answer is; by default a number in [0, 1) from its hash. Equal qualities are a tie. */
  quality?: (answer: string) => number
  /** Milliseconds before each response. */
  delay?: number
  /** What it writes around its verdict; by default a short sentence before it. `said` is what it was asked. */
  say?: (verdict: string, said: string) => string
  seed?: number
}

/** The figures of the issue: 5 % garbage, 30 % to the first position, 20 % to the longer answer. */
export const biasedJudge: JudgeStubOptions = { garbage: 0.05, first: 0.3, longer: 0.2 }

export type JudgeStub = Pick<FakeEndpoint, 'url' | 'asked' | 'close'> & {
  /** Requests so far. */
  calls(): number
  /** How often an equal request came again. */
  repeated(): number
}

/** A number in [0, 1) that depends on the text alone. */
const uniform = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32

export const qualityByHash = (answer: string): number => uniform(`quality ${answer}`)

/** The answers in a prompt, in the order in which they stand, with their labels. */
const answersIn = (prompt: string): { label: string; text: string }[] =>
  [...prompt.matchAll(/<answer(?:_([ab]))?>\n([\s\S]*?)\n<\/answer(?:_[ab])?>/g)].map(([, label = '', text]) => ({
    label: label.toUpperCase(),
    text,
  }))

const promptOf = ({ body }: Asked): string =>
  Array.isArray(body.messages)
    ? (body.messages as { content: string }[]).map(({ content }) => content).join('\n')
    : `${body.prompt}`

/** The verdict on a prompt: 'A', 'B' or 'C' of two answers, a grade of one, undefined for garbage. */
export const stubVerdict = (prompt: string, options: JudgeStubOptions): string | undefined => {
  const { garbage = 0, first = 0, longer = 0, quality = qualityByHash, seed = 0 } = options
  const u = uniform(`${seed} ${prompt}`)
  if (u < garbage) return undefined
  const answers = answersIn(prompt)
  if (answers.length === 1) return `${1 + Math.floor(10 * Math.min(0.999, quality(answers[0].text)))}`
  const [one, two] = answers
  const share = (u - garbage) / (1 - garbage)
  if (share < first) return one.label
  if (share < first + longer && one.text.length !== two.text.length)
    return one.text.length > two.text.length ? one.label : two.label
  const [q1, q2] = [quality(one.text), quality(two.text)]
  if (q1 === q2) return 'C'
  return q1 > q2 ? one.label : two.label
}

const reply = (asked: Asked, options: JudgeStubOptions): object => {
  const prompt = promptOf(asked)
  if (!answersIn(prompt).length) return answered('I worked it out step by step: the result is 42.')
  const verdict = stubVerdict(prompt, options)
  const { say = (text) => `Both were read with care. ${text}` } = options
  if (asked.body.logprobs) return optionReply(verdict)
  if (verdict === undefined) return answered('I would rather talk about the weather.')
  const value = /^\d+$/.test(verdict) ? Number(verdict) : verdict
  if (asked.body.response_format)
    return answered(JSON.stringify({ reason: 'Both were read with care.', verdict: value }))
  return answered(say(`[[${verdict}]]`, prompt))
}

/** One token with its rivals: the option that wins has probability 0.8 of 0.9. Garbage has neither. */
const optionReply = (verdict: string | undefined): object => {
  const shares: [string, number][] =
    verdict === undefined
      ? [['weather', 0.9]]
      : [
          ['A', verdict === 'A' ? 0.8 : verdict === 'C' ? 0.45 : 0.1],
          ['B', verdict === 'B' ? 0.8 : verdict === 'C' ? 0.45 : 0.1],
        ]
  const top_logprobs = shares.map(([token, p]) => ({ token, logprob: Math.log(p) }))
  const text = verdict ?? 'weather'
  const message = { role: 'assistant', content: text }
  return answered(text, { choices: [{ message, finish_reason: 'stop', logprobs: { content: [{ top_logprobs }] } }] })
}

export const judgeStub = async (options: JudgeStubOptions = {}): Promise<JudgeStub> => {
  const seen = new Map<string, number>()
  const server = await fakeEndpoint((asked, response) => {
    const key = JSON.stringify(asked.body)
    seen.set(key, (seen.get(key) ?? 0) + 1)
    const answer = () => send(response, reply(asked, options))
    if (options.delay) setTimeout(answer, options.delay)
    else answer()
  })
  return {
    url: server.url,
    asked: server.asked,
    close: server.close,
    calls: () => server.asked.length,
    repeated: () => [...seen.values()].reduce((n, count) => n + count - 1, 0),
  }
}
