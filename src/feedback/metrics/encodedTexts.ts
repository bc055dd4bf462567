/** Rows scored by BERTScore with an opened encoder, a batch at a time. */
import type { OpenedEncoder } from '../../passes/openEncoder.node.ts'
import { badInput } from '../../util/fault.ts'
import { type BertScore, bertScore, type Embedded, idfWeight, plainWeight, type TokenWeight } from './bertScore.ts'
import type { Compared } from './comparedRows.ts'

/** Texts as ids of the encoder, with its special tokens around them. */
export type TextIds = {
  of(text: string | number[]): number[]
  /** Ids of special tokens, which count nothing. */
  special(ids: readonly number[]): ReadonlySet<number>
  /** How many special tokens stand around a text. */
  around: number
  /** How many texts were cut because the encoder takes no more tokens. */
  cut(): number
}

/** Byte-level tokenizers, to which the first word looks like the others behind a space. */
const needsSpace = ['roberta', 'gpt2']

/** @throws Fault no-tokenizer for a text where the folder has none */
export const textIds = ({ model, tokenizer, dir }: OpenedEncoder): TextIds => {
  const longest = model.architecture.encoder!.longestText(model.config)
  const space = needsSpace.includes(model.config.model_type) ? ' ' : ''
  const named = ['cls_token', 'sep_token'].flatMap((name) => {
    const id = tokenizer?.tokenToId(tokenizer.specialTokens[name] ?? '')
    return id === undefined ? [] : [id]
  })
  let cut = 0
  const idsOf = (text: string): number[] => {
    if (!tokenizer) throw badInput('no-tokenizer', 'has no tokenizer, so rows must hold token ids', { file: dir })
    const trimmed = text.trim()
    return tokenizer.encode(trimmed && space + trimmed).ids
  }
  return {
    of: (text) => {
      const ids = typeof text === 'string' ? idsOf(text) : text
      if (ids.length <= longest) return ids
      cut++
      return [...ids.slice(0, longest - 1), ids.at(-1)!]
    },
    // Without a tokenizer the first and the last token are the special ones
    special: (ids) => new Set(tokenizer ? named : [ids[0], ids[ids.length - 1]]),
    around: tokenizer ? tokenizer.encode('').ids.length : 2,
    cut: () => cut,
  }
}

/** Rows whose texts are encoded together. */
const batchRows = 32

/**
 * BERTScore of each row.
 * @param layer states after so many blocks of the encoder
 * @param weight of tokens (`idfWeight`); without it all count alike
 */
export async function* bertScores(
  rows: AsyncIterable<Compared>,
  encoder: OpenedEncoder,
  texts: TextIds,
  { layer, weight }: { layer: number; weight?: TokenWeight },
): AsyncGenerator<BertScore> {
  let batch: Compared[] = []
  for await (const row of rows) {
    batch.push(row)
    if (batch.length < batchRows) continue
    yield* await scoresOf(batch, encoder, texts, layer, weight)
    batch = []
  }
  if (batch.length) yield* await scoresOf(batch, encoder, texts, layer, weight)
}

const scoresOf = async (
  batch: readonly Compared[],
  encoder: OpenedEncoder,
  texts: TextIds,
  layer: number,
  weight: TokenWeight | undefined,
): Promise<BertScore[]> => {
  const rows = batch.map(({ completion, references }) => [completion, ...references].map(texts.of))
  const unique = new Map(rows.flat().map((ids) => [ids.join(), ids]))
  const states = await encoder.hidden([...unique.values()], layer)
  const embedded = new Map([...unique].map(([key, ids], i): [string, Embedded] => [key, { ids, states: states[i] }]))
  return rows.map(([completion, ...references]) => {
    const of = (ids: number[]) => embedded.get(ids.join())!
    return references
      .map((reference) => {
        const own = weight ?? plainWeight(new Set([...texts.special(completion), ...texts.special(reference)]))
        return bertScore(of(completion), of(reference), own, texts.around)
      })
      .reduce(highest)
  })
}

/** As bert-score has it: each of the three is the highest of any reference. */
const highest = (a: BertScore, b: BertScore): BertScore => ({
  precision: Math.max(a.precision, b.precision),
  recall: Math.max(a.recall, b.recall),
  f: Math.max(a.f, b.f),
})

/** The inverse document frequencies of all references. */
export const referenceIdf = async (rows: AsyncIterable<Compared>, texts: TextIds): Promise<TokenWeight> => {
  const references: number[][] = []
  for await (const row of rows)
    for (const reference of row.references) references.push([...new Set(texts.of(reference))])
  return idfWeight(references)
}
