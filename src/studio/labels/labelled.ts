/** Labelled tasks of a project with what people say of them now, a page at a time, in the order of the project. */
import type { Db } from '../../store/database.node.ts'
import type { VoteRecord } from './api.ts'
import { passes, readStored, type StoredTask, type VoteRow, voteColumns, voteRecord } from './tasks.ts'

export type Labelled = {
  task: StoredTask
  /** First passes that are votes. */
  votes: VoteRecord[]
  decision?: VoteRecord
}

type TaskRow = Parameters<typeof readStored>[0]

const atOnce = 200

/** All tasks, in the order of the project, with their votes. Gives others their turn after each page. */
export async function* labelledTasks(
  db: Db,
  project: number,
  wanted: 'labelled' | 'all' = 'labelled',
): AsyncGenerator<Labelled[]> {
  const condition = wanted === 'all' ? 'true' : "(votes > 0 OR state = 'adjudicated')"
  for (let last = 0; ; ) {
    const rows = db.all<TaskRow>(
      `SELECT id, project, position, gold, prompt, responses FROM task JOIN task_text ON task = id
       WHERE project = ? AND position > ? AND ${condition} ORDER BY position LIMIT ${atOnce}`,
      project,
      last,
    )
    if (rows.length) yield pageOf(db, rows)
    if (rows.length < atOnce) return
    last = rows.at(-1)!.position
    await new Promise((done) => setImmediate(done))
  }
}

const pageOf = (db: Db, rows: readonly TaskRow[]): Labelled[] => {
  const ids = JSON.stringify(rows.map(({ id }) => id))
  const said = db.all<VoteRow>(
    `SELECT ${voteColumns} JOIN current c ON c.vote = v.id
     WHERE c.task IN (SELECT value FROM json_each(?)) AND c.pass <> 1 AND c.kind <> 'skip' ORDER BY v.id`,
    ids,
  )
  const byTask = new Map<number, VoteRow[]>()
  for (const row of said) byTask.set(row.task, [...(byTask.get(row.task) ?? []), row])
  return rows.map((row) => {
    const votes = byTask.get(row.id) ?? []
    const decision = votes.find(({ pass }) => pass === passes.decision)
    return {
      task: readStored(row),
      votes: votes.filter(({ pass }) => pass === passes.first).map(voteRecord),
      ...(decision && { decision: voteRecord(decision) }),
    }
  })
}
