/**
 * One question to a server until it is answered, with the `openai` package as the sender and nothing else of it: it tries
 * once, and its time-out, which ends with the headers, is replaced by one that ends with the body.
 */
import type OpenAI from 'openai'
import { readAnswer, usageOf } from './answer.ts'
import type { Answer, Asking, Question, Spent } from './completions.ts'
import { type Failure, failureOf } from './failure.ts'
import { heed, openGate, persist } from './tries.ts'

/** Parameters that some models refuse, and what is sent instead. Found out once for each endpoint. */
const concessions: readonly { refusal: RegExp; change(body: Record<string, unknown>): void }[] = [
  {
    refusal: /max_completion_tokens/,
    change: (body) => {
      body.max_completion_tokens = body.max_tokens
      delete body.max_tokens
    },
  },
  {
    refusal: /\bseed\b/,
    change: (body) => {
      delete body.seed
    },
  },
]

const paths = { chat: '/chat/completions', text: '/completions' } as const

export type AskerOptions = {
  /** Tries after a first that failed; being rate-limited is no failure. */
  retries?: number
  /** Milliseconds for a whole answer. */
  timeout: number
  /** Dollars for a million tokens. */
  price?: { prompt: number; completion: number }
  /** Told before each further try. */
  onRetry?: (what: { message: string; seconds: number; row: number }) => void
}

/** Asks until there is an answer, and counts what it cost. */
export const asker = (client: OpenAI, { retries = 5, timeout, price, onRetry }: AskerOptions, spent: Spent) => {
  const gate = openGate()
  const conceded = new Set<(typeof concessions)[number]>()
  const attempt = async ({ way, body }: Question, signal?: AbortSignal): Promise<Answer | Failure> => {
    const sent = { ...body }
    for (const { change } of conceded) change(sent)
    const made = await once(timeout, signal, (signal) => client.post(paths[way], { body: sent, signal }).asResponse())
    if (isFailure(made)) {
      const concession = concessions.find((one) => !conceded.has(one) && one.refusal.test(made.message))
      if (made.code !== 'endpoint-refused' || !concession) return made
      conceded.add(concession)
      return attempt({ way, body, nth: 0 }, signal)
    }
    heed(gate, made.headers)
    count(spent, usageOf(made.body), price)
    const answer = readAnswer(way, made.body)
    return typeof answer === 'string'
      ? { kind: 'again', code: 'bad-answer', message: `sent ${answer}`, tries: 2 }
      : answer
  }
  return (question: Question, { row, signal, isEnding }: Asking): Promise<Answer | Failure> =>
    persist(gate, () => attempt(question, signal), isFailure, {
      retries,
      signal,
      isEnding,
      onRetry({ message }, wait) {
        spent.retries++
        onRetry?.({ message, seconds: wait / 1000, row })
      },
    })
}

export const isFailure = <T extends object>(made: T | Failure): made is Failure => 'kind' in made

/** What came costs what it costs, even if it is no use. */
const count = (spent: Spent, usage: Answer['usage'], price: AskerOptions['price']) => {
  spent.asked++
  if (!usage) spent.uncounted++
  const { promptTokens = 0, completionTokens = 0 } = usage ?? {}
  spent.promptTokens += promptTokens
  spent.completionTokens += completionTokens
  if (price) spent.cost! += (promptTokens * price.prompt + completionTokens * price.completion) / 1e6
}

export type Reply = { headers: Headers; body: unknown }

/** One request with its whole body; `timeout` in milliseconds. Rejects only with the signal's reason, or for a defect. */
export const once = async (
  timeout: number,
  signal: AbortSignal | undefined,
  send: (signal: AbortSignal) => Promise<Response>,
): Promise<Reply | Failure> => {
  const controller = new AbortController()
  const stop = () => controller.abort()
  const timer = setTimeout(stop, timeout)
  signal?.addEventListener('abort', stop)
  try {
    const response = await send(controller.signal)
    return { headers: response.headers, body: JSON.parse(await response.text()) }
  } catch (error) {
    signal?.throwIfAborted()
    return failureOf(error, timeout)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}
