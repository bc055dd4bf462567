/** `attune import`: exports of labelling tools, leaderboards and judges as rows of attune, vote by vote or as a consensus. */
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import type { Ranking } from '../../data/rows.ts'
import { consensusMethods, type Quality } from '../../feedback/votes/consensus.ts'
import { type ImportedVotes, sources } from '../../feedback/votes/importVotes.ts'
import { dataFields } from '../../recipes/trainer/fields.ts'
import { badInput } from '../../util/fault.ts'
import { refuseTakenFile, writeNew } from '../../util/files.node.ts'
import { percent, plural, whole } from '../../util/format.ts'
import { stringify } from '../../util/written.ts'
import { command } from '../command.ts'
import { columns, countsText } from '../format.ts'
import { refuseProject, serverFields, serverOf } from '../labelStudioFlags.ts'

const schema = z.object({
  files: z
    .array(z.string())
    .default([])
    .meta({ value: 'FILE' })
    .describe('files to read, all of one kind; none with --server'),
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
  predictions: z
    .boolean()
    .default(false)
    .describe('write what models predicted too, as rows with "prediction": true, which are no votes'),
  column: dataFields.column,
  ...serverFields,
})
type Options = z.output<typeof schema>
type Counts = Record<string, number>

export default command({
  summary:
    'Exports of Label Studio, Argilla, OpenAssistant, AlpacaEval or MT-bench as rows to train on; votes as a consensus',
  example: 'import EXPORT.json --from label-studio --consensus majority --output preferences.jsonl',
  schema,
  operands: ['files'],
  async run(options, { out }) {
    const { files, from, output, server } = options
    if (server !== undefined && (files.length || from !== 'label-studio'))
      throw badInput('bad-flag', 'reads --from label-studio, and no files beside it', { flag: '--server' })
    if (server === undefined && !files.length)
      throw badInput('bad-flag', 'give files to read, or --server with --from label-studio')
    refuseProject(options)
    if (!/\.(jsonl|ndjson)$/i.test(output))
      throw badInput('bad-flag', 'must end in .jsonl: the rows are written as lines of JSON', { flag: '--output' })
    await refuseTakenFile(output)
    const { votes, name } = await votesOf(options)
    if (votes.open.length) votes.dropped['no-vote'] = (votes.dropped['no-vote'] ?? 0) + votes.open.length
    const made = await recordsOf(votes, options)
    if (!made.records.length)
      throw badInput('empty-data', `gave no row (${countsText(made.dropped) || 'it holds none'})`, { file: name })
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

/** Of files, or of a server's project. */
const votesOf = async (options: Options): Promise<{ votes: ImportedVotes; name: string }> => {
  const { files, from, column } = options
  if (options.server !== undefined) {
    const { server, project } = serverOf(options)
    const { pullVotes } = await import('../../feedback/labelStudio/pull.ts')
    return { votes: (await pullVotes(server, project)).votes, name: `${server.url}, ${project}` }
  }
  const { importVotes } = await import('../../feedback/votes/importVotes.ts')
  return { votes: await importVotes(files, from, { columns: column, resolve: resolveDataset }), name: files.join(', ') }
}

const recordsOf = async (votes: ImportedVotes, options: Options): Promise<Made> => {
  const kinds = [votes.rankings, votes.unpaired].filter(({ length }) => length)
  if (kinds.length > 1)
    throw badInput('wrong-kind', 'the files hold rankings and responses that are good or bad; import files of one kind')
  // Labels of tasks that are ranked besides would be a file of another kind
  if (votes.labels.length && !kinds.length) return labelRecords(votes, options)
  if (votes.labels.length && options.from === 'rows')
    throw badInput('wrong-kind', 'the files hold labels and rankings; import files of one kind')
  const dropped: Counts = { ...votes.dropped, ...(votes.labels.length && { label: votes.labels.length }) }
  const predicted = votes.predicted
  if (!options.predictions && predicted.length) dropped.prediction = predicted.length
  const given = { ...votes, dropped, predicted: options.predictions ? predicted : [] }
  const single = [...votes.unpaired, ...given.predicted].find(({ kind }) => kind === 'unpaired')
  return single ? unpairedRecords(given, options) : rankingRecords(given, options)
}

/** Votes on one response: good or bad. */
const unpairedRecords = async (votes: ImportedVotes, { consensus, pairs }: Options): Promise<Made> => {
  for (const [flag, given] of [
    ['--consensus', consensus],
    ['--pairs', pairs],
  ] as const)
    if (given) throw badInput('bad-flag', 'is of rankings; these are responses that are good or bad', { flag })
  const { voteRecord } = await import('../../feedback/votes/voteRows.ts')
  const rows = [...votes.unpaired, ...votes.predicted]
  return {
    kind: 'unpaired',
    records: rows.map((row) => voteRecord(row, 'kto').record),
    dropped: votes.dropped,
    lost: {},
  }
}

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
  rows = [...rows, ...(votes.predicted as Ranking[])]
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
  if (pairs) throw badInput('bad-flag', 'is of rankings; these rows are labels', { flag: '--pairs' })
  const written = (text: string) => votes.written.get(text) ?? text
  if (!consensus && votes.labels[0].question !== undefined)
    return {
      kind: 'labels',
      records: votes.labels.map(({ item, label, ...vote }) => ({
        item: written(item),
        ...vote,
        label: written(label),
      })),
      dropped: votes.dropped,
      lost: {},
    }
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
    records: items.flatMap(({ item, label, ...rest }) =>
      label === null ? [] : [{ item: written(item), label: written(label), ...rest }],
    ),
    dropped: { ...votes.dropped, ...(undecided && { undecided }) },
    lost: {},
    annotators,
  }
}

function* lines(records: readonly object[]) {
  for (const record of records) yield Buffer.from(`${stringify(record)}\n`)
}

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
