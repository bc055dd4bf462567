/**
 * A teacher behind an OpenAI-compatible server, asked for the likeliest tokens at each place of a text: /v1/completions with
 * `echo`, `logprobs` and `return_tokens_as_token_ids`, as attune and vLLM offer it. The text is sent as token ids and tokens come
 * back as ids, so no tokenizer stands between the two models.
 */
import type { Endpoint, TokenLogp } from '../../endpoint/client.ts'
import { openEndpoint, splitUrl } from '../../endpoint/open.node.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import { restLogp } from '../../objectives/distillation.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { badInput, Fault, runFailure } from '../../util/fault.ts'
import { inParallel } from '../../util/inParallel.ts'
import { quoted } from '../../util/quote.ts'

/** Of each place the likeliest tokens, likeliest first. */
export type NamedTokens = { ids: number[]; logps: number[] }

export type ServerTeacher = {
  files: []
  limit: number
  /** What it says of the completion of each prompt: [text][token of the completion]. */
  named(texts: readonly { prompt: readonly number[]; completion: readonly number[] }[]): Promise<NamedTokens[][]>
}

/** Tokens that are asked for at each place; more are refused by most servers. */
const topCount = 20

const flag = '--teacher'
const needs =
  'a teacher must tell the log-probs of a prompt by token ids (echo, logprobs and return_tokens_as_token_ids on /v1/completions), as attune serve and vLLM do'

/** Throws Faults that name --teacher: of a server that cannot be asked, tells no log-probs, or has another tokenizer. */
export const openServerTeacher = async (
  { teacher, kdTemperature, seqKd }: { teacher: string; kdTemperature: number; seqKd: boolean },
  tokenization: Tokenization,
): Promise<ServerTeacher> => {
  const { vocabulary } = tokenization
  if (kdTemperature !== 1)
    throw badInput('bad-flag', 'needs a local teacher: the log-probs of a server are those of temperature 1', {
      flag: '--kd-temperature',
    })
  if (seqKd)
    throw badInput(
      'bad-flag',
      'needs a local teacher; let the server complete the prompts (attune generate) and train on these completions instead',
      { flag: '--seq-kd' },
    )
  const endpoint = await openEndpoint(splitUrl(teacher)).catch(withAdvice('is it running?'))
  const ask = (prompt: string | readonly number[], row: number, isEnding = () => false) =>
    topsOf(endpoint, prompt, row, isEnding)
  const readable = (tops: TokenLogp[][], from: number) => tops.slice(from).map((each) => namedOf(each, vocabulary))
  await requireSameTokenizer(ask, readable, tokenization)
  return {
    files: [],
    limit: Number.POSITIVE_INFINITY,
    async named(texts) {
      const all: NamedTokens[][] = []
      let isEnding = false
      const jobs = texts.map((text, row) => ({ ...text, row }))
      const work = async ({ prompt, completion, row }: (typeof jobs)[number]) => {
        const tops = await ask([...prompt, ...completion], row, () => isEnding).catch(withAdvice('go on with --resume'))
        if (tops.length !== prompt.length + completion.length)
          throw runFailure(
            'bad-answer',
            `${endpoint.name} told log-probs of ${tops.length} tokens of ${prompt.length + completion.length}`,
          )
        return { row, tokens: readable(tops, prompt.length) }
      }
      const ended = () => {
        isEnding = true
      }
      for await (const { row, tokens } of inParallel(jobs, endpoint.concurrency, work, ended)) all[row] = tokens
      return all
    },
  }
}

const topsOf = async (
  { model, complete }: Endpoint,
  prompt: string | readonly number[],
  row: number,
  isEnding: () => boolean,
): Promise<TokenLogp[][]> => {
  const body = { model, prompt, max_tokens: 0, echo: true, logprobs: topCount, return_tokens_as_token_ids: true }
  const { tops } = await complete({ method: 'text', body, nth: 0 }, { row, isEnding })
  return tops ?? []
}

const tokenId = /^token_id:(\d+)$/

/** The likeliest tokens by their ids. Throws where they are not told, or the model has no such token. */
const namedOf = (tops: readonly TokenLogp[], vocabulary: number): NamedTokens => {
  const ids = tops.map(({ token }) => Number(tokenId.exec(token)?.[1] ?? Number.NaN)).slice(0, topCount)
  if (ids.length === 0 || ids.some(Number.isNaN)) throw badInput('no-logprobs', `it does not; ${needs}`, { flag })
  const stray = ids.find((id) => id >= vocabulary)
  if (stray !== undefined)
    throw badInput('teacher-tokenizer', `names the token id ${stray}, and the student's ids end at ${vocabulary - 1}`, {
      flag,
    })
  return { ids, logps: tops.slice(0, topCount).map(({ logp }) => logp) }
}

/** A text that most tokenizers split in their own way, and what some of the student's tokens say. */
const probeOf = (tokenizer: Tokenizer, maxLength: number): string => {
  const count = Math.min(probeTokens, Math.floor(maxLength / 4))
  const ids = Array.from({ length: count }, (_, i) => Math.floor((i * tokenizer.size) / count))
  return `The 1,234 quick brown foxes jumped; naïve Straße, 你好!\n\tdef f(x): return x ${tokenizer.decode(ids, { skipSpecialTokens: true })}`
}
const probeTokens = 200

/** Sends a short text, and compares how the server splits it with how the student does. */
const requireSameTokenizer = async (
  ask: (prompt: string | readonly number[], row: number) => Promise<TokenLogp[][]>,
  readable: (tops: TokenLogp[][], from: number) => NamedTokens[],
  { tokenizer, limits }: Tokenization,
) => {
  const text = tokenizer ? probeOf(tokenizer, limits.maxLength) : [0, 1]
  const own = typeof text === 'string' ? tokenizer!.encode(text, { specialTokens: true }).ids : text
  const tops = await ask(text, 0).catch(asUnable)
  if (tops.length === 0) throw badInput('no-logprobs', `the server tells no log-probs; ${needs}`, { flag })
  // What a prompt holds is among the tokens that are told at its place
  const all = readable(tops, 1)
  const at = own.slice(1).findIndex((id, i) => all[i] && !tops[i + 1].some(({ token }) => token === `token_id:${id}`))
  if (tops.length === own.length && at < 0) return
  const where =
    at < 0
      ? `into ${tops.length} tokens, and the student into ${own.length}`
      : `otherwise than the student from token ${at + 1} on`
  throw badInput('teacher-tokenizer', `has another tokenizer: it splits ${quoted(String(text))} ${where}`, { flag })
}

/** A fault of the server, as one of the flag, with what to do. */
const withAdvice = (advice: string) => (error: unknown) => {
  if (!(error instanceof Fault) || error.where.flag) throw error
  const named = error.code === 'no-model' ? 'write its name behind the address: URL#NAME' : advice
  throw new Fault(error.code, `${error.message}; ${named}`, { flag }, error.exitCode)
}

/** A server that refuses the request, or answers it with nothing, is none to learn from. */
const asUnable = (error: unknown) => {
  if (error instanceof Fault && ['endpoint-refused', 'bad-answer'].includes(error.code))
    throw badInput('no-logprobs', `${error.message}; ${needs}`, { flag })
  return withAdvice('is it running?')(error)
}

/** Arrays of all targets: ids [M, k] and log-probs [M, k + 1], the last of all other tokens; k is what every place has. */
export const namedArrays = (tokens: readonly NamedTokens[], vocabulary: number) => {
  const k = Math.min(vocabulary - 1, ...tokens.map(({ ids }) => ids.length))
  const logps = tokens.flatMap((token) => {
    const top = token.logps.slice(0, k)
    return [...top, restLogp(top)]
  })
  return {
    ids: {
      values: BigInt64Array.from(
        tokens.flatMap(({ ids }) => ids.slice(0, k)),
        BigInt,
      ),
      shape: [tokens.length, k],
    },
    logps: { values: Float32Array.from(logps), shape: [tokens.length, k + 1] },
  }
}
