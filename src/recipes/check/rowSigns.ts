/** Signs of a mistake in one row, by code: in its texts, its labels, and the tokens that training makes of it. */
import type { Message } from '../../data/messages.ts'
import { hasFields, isBlank, plainOf } from '../../data/plainText.ts'
import { contradicts } from '../../data/preference.ts'
import { isIds, isMessages, type Ranking, type Row, type Text } from '../../data/rows.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'

/** How rows are learnt from; other methods count as one of these. */
export type CheckedMethod = 'sft' | 'dpo' | 'kto' | 'reward' | 'grpo'

/** `targets` is 1 where a token is learnt. For a reward model these are the tokens of the response that it scores. */
export type Sequence = { name: string; ids: readonly number[]; targets: Uint8Array }
/** What is made of a row. */
export type Sequences = { sequences: Sequence[]; truncated: boolean }

/** A prompt and a response, which is learnt. Nothing comes before the first token, so it never is. */
export const answered = (name: string, prompt: readonly number[], response: readonly number[]): Sequence => ({
  name,
  ids: prompt.concat(response),
  targets: new Uint8Array(prompt.length + response.length).fill(1, Math.max(1, prompt.length)),
})

/** A row's prompt and the texts that answer it, the best first; only the text for plain text. */
export type RowTexts = { prompt?: Text; answers: Text[] }

export const textsOf = (row: Row): RowTexts => {
  if (row.kind === 'ranking') return { prompt: row.prompt, answers: bestFirst(row) }
  if (row.kind === 'unpaired' || row.kind === 'completion') return { prompt: row.prompt, answers: [row.completion] }
  if (row.kind === 'messages')
    return { answers: row.messages.filter(({ role }) => role === 'assistant').map((turn) => [turn]) }
  if (row.kind === 'text') return { answers: [row.text] }
  return row.kind === 'prompt' ? { prompt: row.prompt, answers: [] } : { answers: [] }
}

const bestFirst = ({ responses, ranks }: Ranking): Text[] => {
  const place = (k: number) => ranks[k] ?? Number.POSITIVE_INFINITY
  const order = responses.map((_, k) => k).sort((a, b) => (place(a) === place(b) ? a - b : place(a) - place(b)))
  return order.map((k) => responses[k])
}

/** Nothing, no letter and no digit, or one word again and again. */
export const isDegenerate = (text: Text | undefined): boolean => {
  if (text === undefined || isIds(text) || hasFields(text)) return false
  const plain = plainOf(text)!.trim()
  return !/[\p{L}\p{N}]/u.test(plain) || /^(\S+)(?:\s+\1){5,}$/.test(plain)
}

/** What other models' chat templates write. */
const markup =
  /<\|im_start\|>|<\|im_end\|>|\[\/?INST\]|<start_of_turn>|<end_of_turn>|<\|start_header_id\|>|<\|eot_id\|>|<\|(?:user|assistant|system|end|endoftext)\|>|<<SYS>>/g

/** UTF-8 read as Latin-1 or Windows-1252, or bytes that were no UTF-8. */
const broken =
  /\ufffd|\u00c3[\u0080-\u00bf\u00a9\u00b6\u00bc\u0178\u0192\u2014\u2013]|\u00e2\u20ac[\u2122\u0153\u009d\u0093\u0094]/

/** Found faster than the expression. */
const beginsBroken = ['\ufffd', '\u00c3', '\u00e2']

/** Signs that the row itself shows. */
export const textSigns = (
  row: Row,
  { prompt, answers }: RowTexts,
  { tokenizer }: Pick<Tokenization, 'tokenizer'>,
): string[] => {
  const plain = [prompt, ...answers].flatMap((text) => (text === undefined ? [] : (plainOf(text) ?? [])))
  const all = plain.join('\n')
  // A text without either bracket has no markup, which is quickly seen
  const mayHaveMarkup = tokenizer && (all.includes('<') || all.includes('['))
  const foreign = mayHaveMarkup && [...all.matchAll(markup)].some(([token]) => tokenizer.tokenToId(token) === undefined)
  const written = mayHaveMarkup && Object.values(tokenizer.specialTokens).some((token) => token && all.includes(token))
  const asked = prompt === undefined ? undefined : plainOf(prompt)?.trim()
  const repeats = asked && asked.length > 8 && answers.some((answer) => plainOf(answer)?.trim().startsWith(asked))
  const [best, ...others] = answers
  const swapped = row.kind === 'ranking' && isDegenerate(best) && others.some((other) => !isDegenerate(other))
  const signs: Record<string, unknown> = {
    'foreign-markup': foreign,
    'special-token-in-text': written && !foreign,
    'broken-encoding': beginsBroken.some((letter) => all.includes(letter)) && broken.test(all),
    'empty-completion': answers.some(isBlank),
    'empty-prompt-text': prompt !== undefined && isBlank(prompt),
    'completion-repeats-prompt': repeats,
    'better-is-empty': swapped,
    'ratings-against-order': row.kind === 'ranking' && contradicts(row),
    'good-is-empty': row.kind === 'unpaired' && row.label && isDegenerate(row.completion),
    'plain-text-for-chat-model': tokenizer?.chat && prompt !== undefined && typeof prompt === 'string',
    ...(row.kind === 'messages' && turnSigns(row.messages)),
    ...(row.kind === 'prompt' && { 'prompt-has-answer': isMessages(row.prompt) && endsWithAnswer(row.prompt) }),
  }
  return Object.keys(signs).filter((code) => signs[code])
}

const endsWithAnswer = (turns: readonly Message[]) => turns.at(-1)!.role === 'assistant'

const turnSigns = (turns: Message[]) => ({
  'no-assistant-turn': !turns.some(({ role }) => role === 'assistant'),
  'ends-without-answer': turns.some(({ role }) => role === 'assistant') && !endsWithAnswer(turns),
})

type Ends = Pick<Tokenization, 'tokenizer' | 'eosIds'>

/** Whether the end token of a completion is learnt; of several responses that of the best. */
const learnsStop = ({ sequences: [{ ids, targets }] }: Sequences, { eosIds }: Pick<Ends, 'eosIds'>): boolean =>
  ids.findLastIndex((id, t) => targets[t] && eosIds.has(id)) >= 0

/** Whether a limit has cut the end token away. Texts that a model goes on with its pretraining by are cut on purpose. */
export const isCutAtStop = (row: Row, made: Sequences, ends: Ends): boolean =>
  made.truncated && row.kind !== 'text' && !learnsStop(made, ends)

/** Signs that its tokens show. */
export const tokenSigns = (made: Sequences, { tokenizer, eosIds }: Ends): string[] => {
  const { sequences, truncated } = made
  const bos = tokenizer?.bosId
  const unknown = tokenizer?.unkId
  const firstTarget = ({ ids, targets }: Sequence) => ids[targets.indexOf(1)]
  const signs: Record<string, unknown> = {
    'bos-twice': bos !== undefined && sequences.some(({ ids }) => ids[0] === bos && ids[1] === bos),
    'bos-before-completion':
      bos !== undefined &&
      !eosIds.has(bos) &&
      sequences.some((sequence) => sequence.targets.indexOf(1) > 1 && firstTarget(sequence) === bos),
    'no-stop': !truncated && !learnsStop(made, { eosIds }),
    'unknown-tokens':
      unknown !== undefined &&
      !eosIds.has(unknown) &&
      sequences.some(({ ids }) => ids.includes(unknown) && ids.filter((id) => id === unknown).length > ids.length / 20),
  }
  return Object.keys(signs).filter((code) => signs[code])
}
