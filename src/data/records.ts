/** Rows as records of a file: what a reader reads back as the same rows, for `attune data --to`. */
import { badInput, type Where } from '../util/fault.ts'
import { shellWord } from '../util/format.ts'
import type { Kinds } from './convert.ts'
import { isIds, isMessages, type Prompt, type Ranking, type Row, type Sft, type Text, type Unpaired } from './rows.ts'
import type { TemplateArguments } from './template.ts'

type Columns = Record<string, unknown>

/** The kinds of files that can be written, and the kind of row that each holds. */
export const targets = {
  preference: 'ranking',
  ranking: 'ranking',
  sft: 'sft',
  kto: 'unpaired',
  prompt: 'prompt',
} as const satisfies Record<string, keyof Kinds>

export type Target = keyof typeof targets
export const targetNames = Object.keys(targets) as Target[]

/**
 * The record of a row, or the reason why there is none.
 * @param renamed  columns that the file calls otherwise, which are not columns of their own
 * @throws Fault wrong-kind where the row does not fit
 */
export const recordFor = (to: Target, row: Row, where: Where, renamed: readonly string[] = []): Columns | string => {
  if (row.kind === 'ranking') return to === 'preference' ? preference(row, where) : withCommon(row, ranking(row))
  if (row.kind === 'unpaired') return withCommon(row, unpaired(row))
  if (row.kind === 'prompt') return withCommon(row, prompt(row, renamed))
  return withCommon(row, sft(row as Sft))
}

const withCommon = ({ id, template, ...row }: Row, columns: Columns): Columns => {
  const known = id ?? ('vote' in row ? row.vote?.task : undefined)
  return { ...(known !== undefined && { id: known }), ...columns, ...templateColumns(template) }
}

/** The columns of a row's arguments for its chat template. */
export const templateColumns = (template: TemplateArguments | undefined): Columns => {
  const variables = { ...(template?.documents && { documents: template.documents }), ...template?.variables }
  return {
    ...(template?.tools && { tools: template.tools }),
    ...(Object.keys(variables).length && { chat_template_kwargs: variables }),
  }
}

/** An empty list alone could be a conversation without messages. */
const text = (value: Text) => (isIds(value) ? { input_ids: value } : value)

const asTurns = (value: Text) => (typeof value === 'string' ? [{ role: 'assistant', content: value }] : value)

const preference = (row: Ranking, where: Where): Columns | string => {
  const { responses, ranks, ratings, margin, prob } = row
  if (responses.length !== 2)
    throw badInput(
      'wrong-kind',
      `holds ${responses.length} responses, and a preference two; nothing was written`,
      where,
      [
        `every pair of the responses: attune import ${shellWord(where.file ?? 'FILE')} --from rows --pairs --output PAIRS.jsonl`,
        'rows with all of them, from which dpo learns too: --to ranking',
        'the best ones alone: --to sft',
      ],
    )
  const [a, b] = ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY)
  if (a === b) return 'tie'
  const turned = a > b
  const order = <T>(pair: readonly T[]): readonly T[] => (turned ? [pair[1], pair[0]] : pair)
  // Where one side is messages, readers want the other so too
  const sides: unknown[] = responses.some(isMessages) ? responses.map(asTurns) : responses.map(text)
  const [chosen, rejected] = order(sides)
  const [score_chosen, score_rejected] = order(ratings ?? [null, null])
  return withCommon(row, {
    prompt: text(row.prompt),
    chosen,
    rejected,
    ...(ratings && { score_chosen, score_rejected }),
    ...(margin !== undefined && { margin: turned ? -margin : margin }),
    ...(prob !== undefined && { prob: turned ? 1 - prob : prob }),
  })
}

/** What is known of a row and a row of this kind has no column for. */
export const lostIn = (to: Target, row: Row): string[] =>
  to === 'ranking' && row.kind === 'ranking'
    ? (['ratings', 'margin', 'prob'] as const).filter((name) => row[name] !== undefined)
    : []

const ranking = ({ prompt, responses, ranks }: Ranking): Columns => ({
  prompt: text(prompt),
  responses: responses.map(text),
  ranks,
})

const unpaired = ({ prompt, completion, label }: Unpaired): Columns => ({
  prompt: text(prompt),
  completion: text(completion),
  label,
})

const sft = (row: Sft): Columns => {
  if (row.kind === 'text') return isIds(row.text) ? { input_ids: row.text } : { text: row.text }
  if (row.kind === 'messages') return { messages: row.messages }
  return { prompt: text(row.prompt), completion: text(row.completion) }
}

/** Columns that say what a row is, or stand in its id and template; all others may be what a reward reads. */
const OWN =
  /^(id|prompt_id|data|annotations|fields|helpfulness|margin|prob|score_chosen|score_rejected|chosen_rating|rejected_rating|text|messages|conversations|responses|ranks|best|label|labels|input_ids|tools|chat_template_kwargs|((prompt|chosen|rejected|completion|response)(_(input_)?ids)?))$/

/** Whether a column of a file is none that a row is read from. */
export const isOther = (name: string, renamed: readonly string[]): boolean => !OWN.test(name) && !renamed.includes(name)

/** A prompt keeps the other columns of its record, for rewards that compare with them. */
const prompt = ({ prompt, record = {} }: Prompt, renamed: readonly string[]): Columns => ({
  prompt: text(prompt),
  ...Object.fromEntries(Object.entries(record).filter(([name]) => isOther(name, renamed))),
})
