/** The list of tasks: filtered, sorted and searched in the store, a page at a time. */
import { z } from 'zod'
import type { Db, SqlValue } from '../../store/database.node.ts'
import { type TaskPage, type TaskRow, taskFilters, taskSorts } from './api.ts'
import { parsed } from './settings.ts'

const sorts = taskSorts.flatMap((name) => [name, `-${name}`] as const)

const query = z.object({
  filter: z.enum(['', ...taskFilters]).default(''),
  annotator: z.string().default(''),
  sort: z.enum(['', ...sorts]).default(''),
  search: z.string().max(1000).default(''),
  offset: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(500).default(50),
})

export const tableQuery = (given: Record<string, string>): z.output<typeof query> => parsed(query, given)
export type TableQuery = z.output<typeof query>

type Row = Omit<TaskRow, 'annotators' | 'prompt'> & { title: string; people: string }

/**
 * As adjudicators and the owner see it.
 * @param found the tasks that the search found, where there is one
 * @param annotator whose tasks alone are wanted
 */
export const taskTable = (
  db: Db,
  project: number,
  asked: TableQuery,
  found: readonly number[] | undefined,
  annotator?: number,
): TaskPage => {
  const where = ['t.project = ?']
  const values: SqlValue[] = [project]
  if (asked.filter === 'gold') where.push('gold IS NOT NULL')
  else if (asked.filter === 'unfinished') where.push("state IN ('open', 'labelled', 'skipped')")
  else if (asked.filter === 'disputed') where.push("disagreement > 0 AND state <> 'adjudicated'")
  else if (asked.filter) {
    where.push('state = ?')
    values.push(asked.filter)
  }
  if (annotator !== undefined) {
    where.push('EXISTS (SELECT 1 FROM current WHERE task = t.id AND person = ? AND pass = 0)')
    values.push(annotator)
  }
  addFound(found, where, values)
  const [column, direction] = orderOf(asked.sort)
  const condition = where.join(' AND ')
  const total = db.get<{ n: number }>(`SELECT count(*) AS n FROM task t WHERE ${condition}`, ...values)!.n
  const rows = db.all<Row>(
    `SELECT id, position, title, votes, state, disagreement, seconds, at,
       (SELECT json_group_array(json(name)) FROM current c JOIN person p ON p.id = c.person
        WHERE c.task = page.id AND c.pass = 0 AND c.kind = 'vote') AS people
     FROM (SELECT t.* FROM task t WHERE ${condition}
       ORDER BY ${column} ${direction}, position ${direction} LIMIT ? OFFSET ?) page
     JOIN task_text ON task = page.id ORDER BY ${column} ${direction}, position ${direction}`,
    ...values,
    asked.limit,
    asked.offset,
  )
  return { total, rows: rows.map(read) }
}

const orderOf = (sort: string): [column: string, direction: 'ASC' | 'DESC'] =>
  sort.startsWith('-') ? [sort.slice(1), 'DESC'] : [sort || 'position', 'ASC']

/** What an annotator sees: only what they did themselves. */
export const ownTable = (
  db: Db,
  project: number,
  asked: TableQuery,
  found: readonly number[] | undefined,
  person: number,
): TaskPage => {
  const { filter } = asked
  const kind = filter === 'skipped' ? 'skip' : filter === 'labelled' || filter === 'finished' ? 'vote' : undefined
  const isOpen = filter === 'open' || filter === 'unfinished'
  if (filter && !kind && !isOpen) return { total: 0, rows: [] }
  // What a person did is found by the person, what they did not do by the tasks
  const where = kind ? ['c.project = ? AND c.person = ? AND c.pass = 0 AND c.kind = ?'] : ['t.project = ?']
  const values: SqlValue[] = kind ? [project, person, kind] : [person, project]
  if (isOpen) where.push(filter === 'open' ? 'c.kind IS NULL' : "c.kind IS NOT 'vote'")
  addFound(found, where, values)
  const tables = kind
    ? 'current c CROSS JOIN task t ON t.id = c.task'
    : 'task t LEFT JOIN current c ON c.task = t.id AND c.person = ? AND c.pass = 0'
  const from = `FROM ${tables} WHERE ${where.join(' AND ')}`
  const total =
    filter || found
      ? db.get<{ n: number }>(`SELECT count(*) AS n ${from}`, ...values)!.n
      : db.get<{ n: number }>('SELECT count(*) AS n FROM task WHERE project = ?', project)!.n
  const [name, direction] = orderOf(asked.sort)
  const columns: Record<string, string> = { seconds: 'c.seconds', at: 'c.at', votes: 'c.kind', state: 'c.kind' }
  const column = columns[name] ?? 't.position'
  const rows = db.all<Row>(
    `SELECT page.*, title FROM (
       SELECT t.id, t.position, c.kind IS 'vote' AS votes,
         CASE c.kind WHEN 'vote' THEN 'labelled' WHEN 'skip' THEN 'skipped' ELSE 'open' END AS state,
         NULL AS disagreement, c.seconds AS seconds, c.at AS at, '[]' AS people
       ${from} ORDER BY ${column} ${direction}, t.position ${direction} LIMIT ? OFFSET ?) page
     CROSS JOIN task_text ON task = page.id`,
    ...values,
    asked.limit,
    asked.offset,
  )
  return { total, rows: rows.map(read) }
}

const addFound = (found: readonly number[] | undefined, where: string[], values: SqlValue[]) => {
  if (!found) return
  where.push('t.id IN (SELECT value FROM json_each(?))')
  values.push(JSON.stringify(found))
}

const read = ({ title, people, ...row }: Row): TaskRow => ({
  ...row,
  prompt: JSON.parse(title),
  annotators: JSON.parse(people),
})
