/** `attune import`: exports of labelling tools, leaderboards and judges as rows of attune, vote by vote or as a consensus. */
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { consensusMethods, type Quality } from '../../feedback/votes/consensus.ts'
import { type ImportedVotes, sources } from '../../feedback/votes/importVotes.ts'
import { dataFields } from '../../recipes/trainer/fields.ts'
import { badInput } from '../../util/fault.ts'
import { refuseTakenFile, writeNew } from '../../util/files.node.ts'
import { percent, plural, whole } from '../../util/format.ts'
import { stringify } from '../../util/written.ts'
import { command } from '../command.ts'
import { columns } from '../format.ts'

const schema = z.object({
  files: z.array(z.string()).min(1).meta({ value: 'FILE' }).describe('files to read, all of one kind'),
  from: z
    .enum(sources)
    .describe(
      "what wrote the files; mt-bench takes its questions, answers and judgements together, rows are attune's own with their annotator",
    ),
  output: z.string().meta({ value: 'FILE.jsonl' }).describe('the new file to write'),
  consensus: z
    .enum(consensusMethods)
    .optional()
    .describe(
      'one row of each task in place of one of each vote: the most frequent verdict, strengths by Bradley-Terry, or Dawid-Skene, which weighs annotators by how often they are right',
    ),
  pairs: z
    .boolean()
    .default(false)
    .describe(
      'write every pair of a ranking (n choose 2) as chosen and rejected; ties and unranked pairs are dropped and counted',
    ),
  column: dataFields.column,
})
type Options = z.output<typeof schema>
type Counts = Record<string, number>

export default command({
  summary:
    'Exports of Label Studio, Argilla, OpenAssistant, AlpacaEval or MT-bench as rows to train on; votes as a consensus',
  example: 'import export.json --from label-studio --consensus majority --output preferences.jsonl',
  schema,
  operands: ['files'],
  async run(options, { out }) {
    const { files, from, output, column } = options
    if (!/\.(jsonl|ndjson)$/i.test(output))
      throw badInput('bad-flag', 'must end in .jsonl: the rows are written as lines of JSON', { flag: '--output' })
    await refuseTakenFile(output)
    const { importVotes } = await import('../../feedback/votes/importVotes.ts')
    const votes = await importVotes(files, from, { columns: column, resolve: resolveDataset })
    const made = votes.labels.length ? await labelRecords(votes, options) : await rankingRecords(votes, options)
    if (!made.records.length)
      throw badInput('empty-data', `gave no row (${countsText(made.dropped) || 'it holds none'})`, {
        file: files.join(', '),
      })
    await writeNew(output, lines(made.records))
    const facts = { records: votes.records, rows: made.records.length, dropped: made.dropped, lost: made.lost }
    if (out.json) return out.jsonLine({ output, from, kind: made.kind, ...facts, annotators: made.annotators })
    const rest = [
      countsText(made.dropped) && `dropped: ${countsText(made.dropped)}`,
      countsText(made.lost) && `left out, since only preference rows hold it: ${countsText(made.lost)}`,
    ].filter(Boolean)
    await out.text(
      [
        `${output}: ${plural(made.records.length, 'row')} of ${made.kind} from ${plural(votes.records, 'record')}`,
        ...rest,
        ...(made.annotators ? ['', qualityTable(made.annotators)] : []),
      ].join('\n'),
    )
  },
})

type Made = { kind: string; records: object[]; dropped: Counts; lost: Counts; annotators?: Quality[] }

const rankingRecords = async (votes: ImportedVotes, { consensus, pairs }: Options): Promise<Made> => {
  const { consensusRows, isDecidedPair, pairsOf, voteRecord } = await import('../../feedback/votes/voteRows.ts')
  const dropped: Counts = { ...votes.dropped }
  const lost: Counts = {}
  const count = (counts: Counts, name: string) => (counts[name] = (counts[name] ?? 0) + 1)
  let rows = votes.rankings
  let annotators: Quality[] | undefined
  if (consensus) {
    const { taskGatherer } = await import('../../feedback/votes/tasks.ts')
    const { consensusOf } = await import('../../feedback/votes/consensus.ts')
    const gatherer = taskGatherer()
    for (const row of votes.rankings) {
      const reason = gatherer.add(row)
      if (reason) count(dropped, reason)
    }
    const tasks = gatherer.tasks()
    const decided = consensusOf(tasks, consensus)
    annotators = decided.annotators
    const all = consensusRows(tasks, decided)
    rows = all.filter((row) => row !== 'undecided')
    for (let missing = all.length - rows.length; missing > 0; missing--) count(dropped, 'undecided')
  }
  if (pairs)
    rows = rows.flatMap((row) => {
      const found = pairsOf(row)
      for (const reason of found.dropped) count(dropped, reason)
      return found.pairs
    })
  const form = rows.every(isDecidedPair) ? 'preference' : 'ranking'
  const records = rows.map((row) => {
    const made = voteRecord(row, form)
    for (const name of made.lost) count(lost, name)
    return made.record
  })
  return { kind: form, records, dropped, lost, annotators }
}

const labelRecords = async (votes: ImportedVotes, { consensus, pairs }: Options): Promise<Made> => {
  if (votes.rankings.length)
    throw badInput('wrong-kind', 'the files hold labels and rankings; import files of one kind')
  if (pairs) throw badInput('bad-flag', 'is of rankings; these rows are labels', { flag: '--pairs' })
  if (!consensus)
    throw badInput('bad-flag', 'is needed: these rows are labels, of which a consensus is made', {
      flag: '--consensus',
    })
  if (consensus === 'bradley-terry')
    throw badInput('bad-flag', 'bradley-terry is of comparisons; for labels give majority or dawid-skene', {
      flag: '--consensus',
    })
  const { labelConsensus } = await import('../../feedback/votes/consensus.ts')
  const { items, annotators } = labelConsensus(votes.labels, consensus)
  const undecided = items.filter(({ label }) => label === null).length
  return {
    kind: 'labels',
    records: items.filter(({ label }) => label !== null),
    dropped: { ...votes.dropped, ...(undecided && { undecided }) },
    lost: {},
    annotators,
  }
}

function* lines(records: readonly object[]) {
  for (const record of records) yield Buffer.from(`${stringify(record)}\n`)
}

const countsText = (counts: Counts) =>
  Object.entries(counts)
    .map(([why, n]) => `${why}: ${whole(n)}`)
    .join(', ')

/** At most so many annotators are listed. */
const shown = 30

const qualityTable = (annotators: readonly Quality[]): string => {
  const estimated = annotators.some(({ accuracy }) => accuracy !== undefined)
  const rows = annotators
    .toSorted((a, b) => b.votes - a.votes)
    .slice(0, shown)
    .map(({ annotator, votes, agreement, accuracy }) => [
      annotator,
      whole(votes),
      Number.isFinite(agreement) ? percent(agreement, 1) : '–',
      ...(estimated ? [accuracy === undefined ? '–' : percent(accuracy, 1)] : []),
    ])
  const head = ['annotator', 'votes', 'as the consensus', ...(estimated ? ['right (estimate)'] : [])]
  const table = columns([head, ...rows], [1, 2, 3])
  return annotators.length > shown ? `${table}\nand ${whole(annotators.length - shown)} more` : table
}
