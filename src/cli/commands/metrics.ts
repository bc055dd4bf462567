/** `attune metrics`: how near completions are to references: BLEU, ROUGE, BERTScore. */
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { smoothings } from '../../feedback/metrics/bleu.ts'
import type { Compared } from '../../feedback/metrics/comparedRows.ts'
import { dataFields } from '../../recipes/trainer/fields.ts'
import { badInput } from '../../util/fault.ts'
import { plural } from '../../util/format.ts'
import { kebab } from '../../util/kebab.ts'
import { type Context, command } from '../command.ts'
import { columns } from '../format.ts'
import { engineFlags } from '../modelFlags.ts'

const metrics = ['bleu', 'rouge', 'bertscore'] as const

const schema = z.object({
  metric: z.enum(metrics).describe('bleu as sacreBLEU has it, rouge as rouge-score, bertscore as bert-score'),
  data: z
    .array(z.string())
    .min(1)
    .meta({ value: 'FILE' })
    .describe('rows of completion and reference, or of completion and references (a list); repeatable'),
  column: dataFields.column.describe(
    'the name that a column has in your file, if another one is expected: completion=answer; repeatable',
  ),
  smooth: z
    .enum(smoothings)
    .optional()
    .describe('bleu: what n-grams without a match count as (default: exp, as in mteval-v13a)'),
  smoothValue: z
    .number()
    .positive()
    .optional()
    .describe('bleu: matches that floor puts in (default: 0.1), or that add-k adds (default: 1)'),
  lowercase: z.boolean().default(false).describe('bleu: do not tell capital letters from small ones'),
  stem: z.boolean().default(false).describe('rouge: compare stems of words, by the Porter stemmer'),
  model: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'MODEL' })
    .describe('bertscore: an encoder, as a folder or a hub id'),
  layer: z
    .number()
    .int()
    .nonnegative()
    .optional()
    .describe(
      'bertscore: after how many blocks of the encoder tokens are compared (default: that of bert-score for encoders it knows, else all)',
    ),
  idf: z.boolean().default(false).describe('bertscore: let rare words count more, by the references of the data'),
  baseline: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'FILE' })
    .describe("bertscore: rescale by this file of baselines, in bert-score's form (LAYER,P,R,F)"),
  ...engineFlags,
})
type Options = z.output<typeof schema>

/** Flags that one metric alone has. */
const own: Readonly<Record<(typeof metrics)[number], readonly (keyof Options)[]>> = {
  bleu: ['smooth', 'smoothValue', 'lowercase'],
  rouge: ['stem'],
  bertscore: ['model', 'layer', 'idf', 'baseline'],
}

export default command({
  summary: 'How near completions are to references: BLEU, ROUGE or BERTScore, a line per row and one for all',
  example: 'metrics rouge --data SUMMARIES.jsonl --stem',
  schema,
  operands: ['metric'],
  async run(options, { out }) {
    for (const metric of metrics)
      for (const name of own[metric])
        if (metric !== options.metric && options[name] !== undefined && options[name] !== false)
          throw badInput('bad-flag', `is of ${metric}, not of ${options.metric}; leave it out`, {
            flag: `--${kebab(name)}`,
          })
    out.noteJsonLines()
    const run = { bleu, rouge, bertscore }[options.metric]
    await run(options, out)
  },
})

type Output = Context['out']

const rowsOf = async (options: Options, ids = false): Promise<AsyncGenerator<Compared>> => {
  const { comparedRows } = await import('../../feedback/metrics/comparedRows.ts')
  return comparedRows(options.data, { columns: options.column, ids, resolve: resolveDataset })
}

/** A row's line; for people its number stands before it. */
const show = async (out: Output, row: number, line: object, text: string) =>
  out.toTerminal ? out.text(`row ${row}: ${text}`) : out.jsonLine(line)

const nothing = ({ data }: Options) => badInput('empty-data', 'holds no rows', { file: data.join(', ') })

/** Percent with two digits, as papers print BLEU and ROUGE. */
const hundredth = (x: number) => x.toFixed(2)

const bleu = async (options: Options, out: Output) => {
  const { bleuCounts, corpusBleu, sentenceBleu } = await import('../../feedback/metrics/bleu.ts')
  const { smooth = 'exp', smoothValue, lowercase } = options
  if (smoothValue !== undefined && smooth !== 'floor' && smooth !== 'add-k')
    throw badInput('bad-flag', 'is of --smooth floor and --smooth add-k', { flag: '--smooth-value' })
  const settings = { smooth, smoothValue, lowercase }
  const segments: ReturnType<typeof bleuCounts>[] = []
  for await (const row of await rowsOf(options)) {
    const [completion, references] = [row.completion as string, row.references as string[]]
    const { score } = sentenceBleu(completion, references, settings)
    await show(out, segments.length, { score }, hundredth(score))
    segments.push(bleuCounts(completion, references, lowercase))
  }
  if (!segments.length) throw nothing(options)
  const { score, ...rest } = corpusBleu(segments, settings)
  const signature = {
    tokens: '13a',
    smooth,
    ...(smoothValue !== undefined && { smooth_value: smoothValue }),
    lowercase,
  }
  if (!out.toTerminal) return out.jsonLine({ event: 'end', n: segments.length, corpus: score, ...rest, ...signature })
  const parts = rest.precisions.map((precision) => precision.toFixed(1)).join('/')
  await out.text(
    `\nBLEU of all ${plural(segments.length, 'row')}: ${hundredth(score)} (${parts}, brevity penalty ${rest.bp.toFixed(3)}, ${rest.sys_len} tokens to ${rest.ref_len})`,
  )
}

const rouge = async (options: Options, out: Output) => {
  const { rouge: scoresOf } = await import('../../feedback/metrics/rouge.ts')
  const names = ['rouge1', 'rouge2', 'rougeL'] as const
  const parts = ['precision', 'recall', 'f'] as const
  const zero = () => ({ precision: 0, recall: 0, f: 0 })
  const sums = { rouge1: zero(), rouge2: zero(), rougeL: zero() }
  let n = 0
  for await (const { completion, references } of await rowsOf(options)) {
    const scores = scoresOf(completion as string, references as string[], options.stem)
    for (const name of names) for (const part of parts) sums[name][part] += scores[name][part]
    await show(out, n++, scores, names.map((name) => `${name} ${scores[name].f.toFixed(4)}`).join('  '))
  }
  if (!n) throw nothing(options)
  for (const name of names) for (const part of parts) sums[name][part] /= n
  if (!out.toTerminal) return out.jsonLine({ event: 'end', n, corpus: sums, stem: options.stem })
  const rows = names.map((name) => [name, ...parts.map((part) => sums[name][part].toFixed(4))])
  await out.text(`\nmean of ${plural(n, 'row')}\n${columns([['', ...parts], ...rows], [1, 2, 3])}`)
}

const bertscore = async (options: Options, out: Output) => {
  const { model, device, threads, idf } = options
  if (model === undefined) throw badInput('bad-flag', 'give an encoder, such as roberta-large', { flag: '--model' })
  const { openEncoder } = await import('../../passes/openEncoder.node.ts')
  const { rescaled, tunedLayer } = await import('../../feedback/metrics/bertScore.ts')
  const { bertScores, referenceIdf, textIds } = await import('../../feedback/metrics/encodedTexts.ts')
  const { readBaseline } = await import('../../feedback/metrics/baseline.ts')
  const encoder = await openEncoder({ model, device, threads })
  try {
    const tuned = tunedLayer(model)
    const layer = options.layer ?? (tuned !== undefined && tuned <= encoder.layers ? tuned : encoder.layers)
    if (layer > encoder.layers)
      throw badInput('bad-flag', `is ${layer}, but the encoder has ${encoder.layers} blocks`, { flag: '--layer' })
    const baseline = options.baseline === undefined ? undefined : await readBaseline(options.baseline, layer)
    const texts = textIds(encoder)
    const weight = idf ? await referenceIdf(await rowsOf(options, true), textIds(encoder)) : undefined
    const sums = { precision: 0, recall: 0, f: 0 }
    let n = 0
    for await (const raw of bertScores(await rowsOf(options, true), encoder, texts, { layer, weight })) {
      const score = baseline ? rescaled(raw, baseline) : raw
      sums.precision += score.precision
      sums.recall += score.recall
      sums.f += score.f
      const { precision, recall, f } = score
      const text = `F ${f.toFixed(4)}  precision ${precision.toFixed(4)}  recall ${recall.toFixed(4)}`
      await show(out, n++, { score: f, ...score }, text)
    }
    if (!n) throw nothing(options)
    const corpus = { precision: sums.precision / n, recall: sums.recall / n, f: sums.f / n }
    const cut = texts.cut()
    if (!out.toTerminal)
      return await out.jsonLine({ event: 'end', n, corpus, model, layer, idf, rescaled: baseline !== undefined, cut })
    const { precision, recall, f } = corpus
    await out.text(
      `\nmean of ${plural(n, 'row')}: F ${f.toFixed(4)}, precision ${precision.toFixed(4)}, recall ${recall.toFixed(4)} (${model} after block ${layer})${cut ? `; ${plural(cut, 'text')} cut to what the encoder takes` : ''}`,
    )
  } finally {
    await encoder.close()
  }
}
