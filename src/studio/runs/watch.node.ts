/** Looks at the logs of runs while pages show them, and tells what is new. */
import type { Live } from '../live.ts'
import type { RunRow } from './api.ts'
import { latestOf } from './row.ts'
import type { RunStore } from './store.node.ts'

/** Milliseconds between two looks at logs, and at least between two at the whole folder. */
const every = 300
const everyList = 1500

export type Watch = {
  /** Looks soon, whatever was seen last. */
  soon(): void
  close(): void
}

export const watchRuns = (store: RunStore, live: Live): Watch => {
  const shown = new Map<string, string>()
  const pulses = new Map<string, string>()
  let listed = 0
  let closed = false
  let timer: NodeJS.Timeout | undefined
  const isListWanted = () => live.isWanted('runs')
  const tellOfList = async () => {
    const began = Date.now()
    const rows = await store.list(0)
    const changed = rows.filter((row) => shown.get(row.name) !== textOf(row))
    const names = new Set(rows.map(({ name }) => name))
    const gone = [...shown.keys()].filter((name) => !names.has(name))
    for (const row of changed) shown.set(row.name, textOf(row))
    for (const name of gone) shown.delete(name)
    if (changed.length || gone.length) live.publish({ topic: 'runs', data: { changed, gone } })
    // A folder with very many runs is looked at less often
    listed = Date.now() + 10 * (Date.now() - began)
  }
  const tellOfRun = async (name: string) => {
    const { row, log } = await store.open(name)
    const data = { row, latest: latestOf(log), events: log.marks.length }
    const text = JSON.stringify(data)
    if (pulses.get(name) === text) return
    pulses.set(name, text)
    live.publish({ topic: `run/${name}`, data })
    if (isListWanted()) live.publish({ topic: 'runs', data: { changed: [row], gone: [] } })
  }
  const look = async () => {
    if (isListWanted() && Date.now() - listed > everyList) await tellOfList()
    const wanted = store
      .names()
      .filter((name) => live.isWanted(`run/${name}`) || (isListWanted() && isAtWork(store.known(name))))
    for (const name of wanted) await tellOfRun(name).catch(() => store.forget(name))
    for (const name of pulses.keys()) if (!wanted.includes(name)) pulses.delete(name)
  }
  const again = () => {
    if (closed) return
    timer = setTimeout(
      () =>
        look()
          .catch(() => {})
          .finally(again),
      every,
    )
    timer.unref()
  }
  again()
  return {
    soon() {
      listed = 0
    },
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

const textOf = (row: RunRow) => JSON.stringify(row)
const isAtWork = (row: RunRow | undefined) => row?.state === 'running'
