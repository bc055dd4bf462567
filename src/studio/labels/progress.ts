/** How far a project is, and how far one person is in it. */
import type { Db } from '../../store/database.node.ts'
import type { Progress } from './api.ts'
import { passes, type Standing } from './tasks.ts'

type Totals = Pick<Progress, 'tasks' | 'finished' | 'votes'>

/** Counts of projects, made once and kept up to date as votes come in. */
export type Counts = {
  totals(project: number): Totals
  /** How many tasks still need this person's vote. */
  open(project: number, person: number): number
  /** A task changed from one standing to another. */
  changed(project: number, before: Standing, after: Standing): void
  /** Tasks came in, or other rules hold. */
  forget(project: number): void
}

export const countTasks = (db: Db): Counts => {
  const known = new Map<number, { totals: Totals; open: Map<number, number> }>()
  const of = (project: number) => {
    const counts = known.get(project) ?? { totals: readTotals(db, project), open: new Map() }
    known.set(project, counts)
    return counts
  }
  return {
    totals: (project) => of(project).totals,
    open(project, person) {
      const { open } = of(project)
      const counted = open.get(person) ?? readOpen(db, project, person)
      open.set(person, counted)
      return counted
    },
    changed(project, before, after) {
      const counts = known.get(project)
      if (!counts) return
      const { totals, open } = counts
      counts.totals = {
        tasks: totals.tasks,
        finished: totals.finished + Number(after.finished) - Number(before.finished),
        votes: totals.votes + after.votes - before.votes,
      }
      for (const [person, n] of open) {
        const was = before.open && !before.people.includes(person)
        const is = after.open && !after.people.includes(person)
        if (was !== is) open.set(person, n + (is ? 1 : -1))
      }
    },
    forget: (project) => known.delete(project),
  }
}

const readTotals = (db: Db, project: number): Totals => {
  const row = db.get<{ tasks: number; finished: number | null; votes: number | null }>(
    `SELECT count(*) AS tasks, sum(state IN ('finished', 'adjudicated')) AS finished, sum(votes) AS votes
     FROM task WHERE project = ?`,
    project,
  )!
  return { tasks: row.tasks, finished: row.finished ?? 0, votes: row.votes ?? 0 }
}

const readOpen = (db: Db, project: number, person: number) =>
  db.get<{ n: number }>(
    `SELECT count(*) AS n FROM task t WHERE project = ? AND open = 1
       AND NOT EXISTS (SELECT 1 FROM current WHERE task = t.id AND person = ? AND pass = 0)`,
    project,
    person,
  )!.n

type Done = { pass: number; kind: string; n: number; seconds: number; today: number }

/** Tasks that a person has done, the second passes too. */
export const doneBy = (db: Db, project: number, person: number) => {
  const midnight = new Date()
  midnight.setHours(0, 0, 0, 0)
  const rows = db.all<Done>(
    `SELECT pass, kind, count(*) AS n, sum(seconds) AS seconds, sum(at >= ?) AS today FROM current
     WHERE project = ? AND person = ? GROUP BY pass, kind`,
    midnight.toISOString(),
    project,
    person,
  )
  const of = (pass: number, kind: string) => rows.find((row) => row.pass === pass && row.kind === kind)?.n ?? 0
  const votes = rows.filter(({ kind }) => kind === 'vote')
  const sum = (name: 'n' | 'seconds' | 'today') => votes.reduce((total, row) => total + row[name], 0)
  return {
    labelled: of(passes.first, 'vote'),
    skipped: of(passes.first, 'skip'),
    again: of(passes.again, 'vote') + of(passes.again, 'skip'),
    seconds: sum('n') ? sum('seconds') / sum('n') : null,
    today: sum('today'),
  }
}

export const progressOf = (db: Db, counts: Counts, project: number, person: number): Progress => {
  const { labelled, skipped, seconds, today } = doneBy(db, project, person)
  return { ...counts.totals(project), own: { labelled, skipped, open: counts.open(project, person), seconds, today } }
}
