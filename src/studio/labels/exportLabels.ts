/** The labels of a project as files: attune's rows, what trainers read, and what other labelling tools read; streamed. */
import { recordFor } from '../../data/records.ts'
import type { Ranking, Row } from '../../data/rows.ts'
import { parseTemplate } from '../../feedback/labelStudio/parseTemplate.ts'
import { labelStudioTask } from '../../feedback/labelStudio/taskForm.ts'
import type { Template } from '../../feedback/labelStudio/template.ts'
import { llamaFactoryRecords, trlRecords } from '../../feedback/votes/exportRows.ts'
import { argillaRecord } from '../../feedback/votes/exportVotes.ts'
import type { Task } from '../../feedback/votes/tasks.ts'
import { pairsOf, voteRecord as rowWithVote } from '../../feedback/votes/voteRows.ts'
import type { Db } from '../../store/database.node.ts'
import { stringify } from '../../util/written.ts'
import type { ExportForm, ProjectSettings } from './api.ts'
import { type Labelled, labelledTasks } from './labelled.ts'
import { templateOfProject, toolTask } from './labelStudio.ts'
import { historyOf, type StoredTask } from './tasks.ts'
import { type ConsensusName, rowOf, type Said, saidBy, saidTogether, unpairedRows } from './verdictRows.ts'

export const exportForms = [
  'rows',
  'preference',
  'kto',
  'votes',
  'trl',
  'llama-factory',
  'label-studio',
  'argilla',
] as const satisfies readonly ExportForm[]

export type ExportOptions = { form: ExportForm; consensus: ConsensusName }

/** A list in one JSON file, or lines. */
export const endingOf = (form: ExportForm): 'json' | 'jsonl' => (form === 'label-studio' ? 'json' : 'jsonl')

/** The records of the file. @param drop is told what is not in it, by reason */
export async function* exportRecords(
  db: Db,
  project: number,
  settings: ProjectSettings,
  { form, consensus }: ExportOptions,
  drop: (reason: string, n?: number) => void = () => {},
): AsyncGenerator<object> {
  if (form === 'votes') return yield* historyRecords(db, project)
  const templates = new Map<number, Template>()
  const templateOf = (responses: number) => {
    const known = templates.get(responses) ?? parseTemplate(templateOfProject({ name: '', settings }, responses))
    templates.set(responses, known)
    return known
  }
  for await (const page of pages(db, project, consensus)) {
    const together = consensus === 'none' ? undefined : saidTogether(page, consensus, settings)
    for (const [i, one] of page.entries()) {
      const { task, votes } = one
      const said = together
        ? [together[i]].filter((given) => given !== undefined)
        : votes.map((record) => saidBy(record, task, settings))
      if (!said.length) drop('undecided')
      else if (form === 'label-studio' || form === 'argilla')
        yield* toolRecords(one, form, templateOf, together?.[i], drop)
      else for (const given of said) yield* trainingRecords(task, given, form, settings, drop)
    }
  }
}

/** Dawid and Skene's estimate is of all tasks at once; all else is of each task by itself. */
async function* pages(db: Db, project: number, consensus: ConsensusName): AsyncGenerator<Labelled[]> {
  if (consensus !== 'dawid-skene') return yield* labelledTasks(db, project)
  const all: Labelled[] = []
  for await (const page of labelledTasks(db, project)) all.push(...page)
  yield all
}

/** Everything that was ever said, with what was taken back. */
async function* historyRecords(db: Db, project: number): AsyncGenerator<object> {
  for await (const page of labelledTasks(db, project, 'all'))
    for (const { task } of page) {
      const taken = new Set(
        db
          .all<{ undoes: number }>('SELECT undoes FROM vote WHERE task = ? AND undoes IS NOT NULL', task.id)
          .map(({ undoes }) => undoes),
      )
      const { prompt, responses } = task
      for (const record of historyOf(db, task.id))
        yield { ...record, ...(taken.has(record.id) && { undone: true }), prompt, responses }
    }
}

function* trainingRecords(
  task: StoredTask,
  said: Said,
  form: ExportForm,
  { mode }: ProjectSettings,
  drop: (reason: string, n?: number) => void,
): Generator<object> {
  if (form === 'kto') {
    const rows = unpairedRows(task, said, mode)
    if (!rows.length) drop('undecided')
    return yield* rows.map((row) => withVoter(recordFor('kto', row, {}) as object, said))
  }
  const row = rowOf(task, said, mode)
  if (typeof row === 'string') return drop(row)
  if (form === 'trl' || form === 'llama-factory') {
    const found = form === 'trl' ? trlRecords(row) : llamaFactoryRecords(row)
    if ('reason' in found) return drop(found.reason)
    for (const reason of found.dropped) drop(reason)
    return yield* found.records
  }
  if (form === 'rows') return yield wholeRecord(row, said)
  if (row.kind !== 'ranking') return drop('no-pair')
  const { pairs, dropped } = pairsOf(row)
  for (const reason of dropped) drop(reason)
  for (const pair of pairs) yield rowWithVote(pair, 'preference').record
}

/** Rankings keep what their form has no column for beside it: ratings and the step of a preference. */
const wholeRecord = (row: Row, said: Said): object => {
  if (row.kind !== 'ranking')
    return withVoter(recordFor(row.kind === 'unpaired' ? 'kto' : 'sft', row, {}) as object, said)
  const { record } = rowWithVote(row as Ranking, 'ranking')
  return {
    ...record,
    ...(row.margin !== undefined && { margin: row.margin }),
    ...(row.prob !== undefined && { prob: row.prob }),
    ...(said.ratings?.length === row.responses.length && { ratings: said.ratings }),
  }
}

const withVoter = (record: object, { vote }: Said): object => {
  const { task: _, ...voter } = vote ?? {}
  return { ...record, ...voter }
}

function* toolRecords(
  labelled: Labelled,
  form: 'label-studio' | 'argilla',
  templateOf: (responses: number) => Template,
  together: Said | undefined,
  drop: (reason: string, n?: number) => void,
): Generator<object> {
  const all = toolTask(labelled)
  const votes = together?.ranks || together?.good !== undefined
  const said = {
    ranks: together?.ranks ?? [together?.good ? 1 : null],
    ...(together?.good !== undefined && { label: together.good }),
  }
  const task: Task = together ? { ...all, votes: votes ? [{ ...said, vote: { annotator: 'consensus' } }] : [] } : all
  const { position } = labelled.task
  const record =
    form === 'argilla'
      ? argillaRecord(task, position, drop)
      : labelStudioTask(task, position, drop, { template: templateOf(task.responses.length) })
  if (record) yield record
}

/** The bytes of the file, in chunks of some size. */
export async function* exportBytes(
  records: AsyncIterable<object>,
  ending: 'json' | 'jsonl',
): AsyncGenerator<Uint8Array> {
  const list = ending === 'json'
  let waiting = ''
  let n = 0
  for await (const record of records) {
    waiting += list ? `${n ? ',\n' : '[\n'}${stringify(record)}` : `${stringify(record)}\n`
    n++
    if (waiting.length < 65536) continue
    yield Buffer.from(waiting)
    waiting = ''
  }
  yield Buffer.from(list ? `${waiting}${n ? '' : '['}\n]\n` : waiting)
}
