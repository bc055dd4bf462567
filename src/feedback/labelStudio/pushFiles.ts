/** Files of rows to a project of a Label Studio server, which is made where it is not there. */
import type { ResolveDataset } from '../../data/input.node.ts'
import { openRows } from '../../data/openRows.node.ts'
import { isChange, tasksOf, templateFor } from '../votes/exportFile.ts'
import { type Pushed, pushTasks } from './push.ts'
import type { Server } from './server.ts'

type Counts = Record<string, number>
export type PushedFiles = Pushed & { rows: number; dropped: Counts; changed: Counts }

export const pushFiles = async (
  server: Server,
  files: string[],
  project: string,
  options: {
    columns?: Record<string, string>
    resolve?: ResolveDataset
    onBatch?(sent: number, of: number): void
  },
): Promise<PushedFiles> => {
  const { columns = {}, resolve, onBatch } = options
  const rows = await openRows(files, { columns, resolve, unranked: true })
  try {
    const dropped: Counts = { ...rows.dropped }
    const changed: Counts = {}
    const count = (what: string, n = 1) => {
      const counts = isChange(what) ? changed : dropped
      counts[what] = (counts[what] ?? 0) + n
    }
    const tasks = await tasksOf(rows, 'label-studio', count)
    const pushed = await pushTasks(server, tasks, { project, template: templateFor(tasks), changed: count, onBatch })
    return { ...pushed, rows: rows.length, dropped, changed }
  } finally {
    await rows.close()
  }
}
