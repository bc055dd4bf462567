/**
 * Judgements of pairs of answers, from the files that hold them: rows of `attune judge`, AlpacaEval's annotations, MT-bench's
 * pair judgements, and votes of people or judges (`model_a`, `model_b`, `winner`).
 */
import { z } from 'zod'
import { conform, type RecordLocation } from '../../data/check.ts'

/** What a judge said of two answers, a standing first in the row. */
export type PairVerdict = 'A' | 'B' | 'tie' | 'error'

export type JudgedPair = {
  /** The prompt, as the file names it: judgements of one prompt are not independent. */
  item: string
  /** Names of the two models. */
  a: string
  b: string
  /** The probability that the answer of b is better: 0, 1, one half for a tie, or what the judge said. Undefined without a verdict. */
  preferred?: number
  /** Verdicts with a shown first and with b shown first, both in the row's own names. */
  orders?: readonly [PairVerdict, PairVerdict]
  /** A tie because the verdict changed with the order, where the row tells that alone. */
  inconsistent?: boolean
  /** What people said of the same two answers, one each. */
  human?: readonly Exclude<PairVerdict, 'error'>[]
  /** Lengths of the two answers in Unicode code points. */
  lengths?: readonly [number, number]
  turn?: number
  category?: string
  /** Who judged, where the row says so. */
  judge?: string
  /** The row of a benchmark where `a` is the baseline of every model. */
  baseline: boolean
  /** The number that the row has among those of its model, from 0. */
  index?: number
}

type Columns = Record<string, unknown>

type Kind = {
  name: string
  detect(record: Columns): boolean
  read(record: Columns, location: RecordLocation): JudgedPair
}

const name = z.string().min(1)
const id = z.union([z.string(), z.number()]).transform(String)
const length = z.number().int().nonnegative()

/** One of these words. A value that is no text is of the wrong type, not a wrong word. */
const word = <const W extends readonly [string, ...string[]]>(words: W) => z.string().pipe(z.enum(words))

/** What may stand beside every judgement. */
const common = z.object({
  turn: z.number().int().optional(),
  category: z.string().nullish(),
})

/** Code points, which are fewer than the units of `string.length` where there are emojis. */
const codePoints = (text: string): number => {
  let count = 0
  for (const _ of text) count++
  return count
}

const beside = (record: Columns, location: RecordLocation): Pick<JudgedPair, 'turn' | 'category'> => {
  const { turn, category } = conform(common, record, location)
  return { ...(turn !== undefined && { turn }), ...(category && { category }) }
}

// ---- AlpacaEval ------------------------------------------------------------------------------------------------------

const preference = z
  .number()
  .refine(
    (x) => x === 0 || (x >= 1 && x <= 2),
    'must be from 1 (the baseline wins) to 2 (the model wins); 1.5 or 0 is a tie',
  )
  .nullable()

const annotation = z.object({
  generator_1: name,
  generator_2: name,
  preference,
  index: z.number().int().nonnegative().optional(),
  instruction: z.string().optional(),
  annotator: z.string().nullish(),
})
const outputs = z.object({ output_1: z.string(), output_2: z.string() })
const lengths = z.object({ len_1: length, len_2: length })

const alpacaEval: Kind = {
  name: 'AlpacaEval annotations',
  detect: (r) => 'preference' in r && ('generator_1' in r || 'generator_2' in r),
  read(record, location) {
    const row = conform(annotation, record, location)
    const preferred = row.preference === null ? undefined : row.preference === 0 ? 0.5 : row.preference - 1
    return {
      item: row.instruction ?? String(row.index ?? location.row),
      a: row.generator_1,
      b: row.generator_2,
      preferred,
      lengths: annotationLengths(record, location),
      ...(row.annotator && { judge: row.annotator }),
      ...beside(record, location),
      baseline: true,
      index: row.index,
    }
  },
}

const annotationLengths = (record: Columns, location: RecordLocation): JudgedPair['lengths'] => {
  if ('len_1' in record || 'len_2' in record) {
    const { len_1, len_2 } = conform(lengths, record, location)
    return [len_1, len_2]
  }
  if (!('output_1' in record || 'output_2' in record)) return undefined
  const { output_1, output_2 } = conform(outputs, record, location)
  return [codePoints(output_1), codePoints(output_2)]
}

// ---- MT-bench --------------------------------------------------------------------------------------------------------

const pairWinners = ['model_1', 'model_2', 'tie', 'error'] as const
const pairNames = { model_1: 'A', model_2: 'B', tie: 'tie', error: 'error' } as const

const pair = z.object({
  question_id: id,
  model_1: name,
  model_2: name,
  g1_winner: word(pairWinners),
  g2_winner: word(pairWinners),
  judge: z.union([name, z.array(z.string())]).optional(),
})

/** One verdict from those of both orders: a win only where they agree, an error where either is one. */
export const bothOrders = ([first, second]: readonly [PairVerdict, PairVerdict]): PairVerdict => {
  if (first === 'error' || second === 'error') return 'error'
  return first === second ? first : 'tie'
}

const shares = { A: 0, B: 1, tie: 0.5, error: undefined } as const

const mtBenchPair: Kind = {
  name: 'MT-bench pair judgements',
  detect: (r) => 'g1_winner' in r || 'g2_winner' in r,
  read(record, location) {
    const row = conform(pair, record, location)
    const orders = [pairNames[row.g1_winner], pairNames[row.g2_winner]] as const
    return {
      item: row.question_id,
      a: row.model_1,
      b: row.model_2,
      preferred: shares[bothOrders(orders)],
      orders,
      ...(row.judge && { judge: [row.judge].flat()[0] }),
      ...beside(record, location),
      baseline: false,
    }
  },
}

// ---- votes -----------------------------------------------------------------------------------------------------------

const winners = {
  model_a: 0,
  model_b: 1,
  tie: 0.5,
  'tie (inconsistent)': 0.5,
  'tie (bothbad)': 0.5,
  error: undefined,
} as const

const vote = z.object({
  question_id: id.optional(),
  id: id.optional(),
  model_a: name,
  model_b: name,
  winner: word(Object.keys(winners) as [keyof typeof winners]),
  judge: z.union([name, z.array(z.string())]).optional(),
})

const votes: Kind = {
  name: 'votes',
  detect: (r) => 'winner' in r && 'model_a' in r,
  read(record, location) {
    const row = conform(vote, record, location)
    const inconsistent = row.winner === 'tie (inconsistent)'
    return {
      item: row.question_id ?? row.id ?? String(location.row),
      a: row.model_a,
      b: row.model_b,
      preferred: winners[row.winner],
      ...(inconsistent && { inconsistent }),
      ...(row.judge && { judge: [row.judge].flat()[0] }),
      ...beside(record, location),
      baseline: false,
    }
  },
}

// ---- attune judge ----------------------------------------------------------------------------------------------------

const verdict = word(['A', 'B', 'tie', 'error'])
const humanVote = word(['A', 'B', 'tie'])

const judged = z.object({
  id: id.optional(),
  verdict,
  verdicts: z.array(verdict).max(2).optional(),
  generator_1: name.optional(),
  generator_2: name.optional(),
  len_1: length.optional(),
  len_2: length.optional(),
  judge: z.string().optional(),
  human: z.union([humanVote.transform((one) => [one]), z.array(humanVote)]).nullish(),
})

/** Pairs of one ranking have ids such as 7:1-3. */
const pairOfRanking = /:\d+-\d+$/

const attuneJudge: Kind = {
  name: 'rows of attune judge',
  detect: (r) => 'verdict' in r,
  read(record, location) {
    const row = conform(judged, record, location)
    const [first, second] = row.verdicts ?? []
    return {
      item: row.id?.replace(pairOfRanking, '') ?? String(location.row),
      a: row.generator_1 ?? 'A',
      b: row.generator_2 ?? 'B',
      preferred: shares[row.verdict],
      ...(first && second && { orders: [first, second] as const }),
      ...(row.len_1 !== undefined && row.len_2 !== undefined && { lengths: [row.len_1, row.len_2] as const }),
      ...(row.judge && { judge: row.judge }),
      ...(row.human && { human: row.human }),
      ...beside(record, location),
      baseline: false,
    }
  },
}

const kinds: readonly Kind[] = [attuneJudge, alpacaEval, mtBenchPair, votes]

/** @returns the reader of a file's judgements, by the columns of its first record; undefined where it holds none */
export const judgementReader = (record: Columns): Kind['read'] | undefined =>
  kinds.find(({ detect }) => detect(record))?.read

/** What files of judgements hold, for messages. */
export const judgementKinds = kinds.map(({ name }) => name)
