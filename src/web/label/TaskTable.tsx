/** The table of tasks: only the rows in view exist, and only their part of the list is asked for. */
import { useQueries } from '@tanstack/react-query'
import {
  createColumnHelper,
  rowSortingFeature,
  type SortingState,
  tableFeatures,
  useTable,
} from '@tanstack/react-table'
import { useVirtualizer } from '@tanstack/react-virtual'
import { ArrowDown, ArrowUp, History } from 'lucide-react'
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react'
import { Link, useLocation } from 'wouter'
import type { TaskRow } from '../../studio/labels/api.ts'
import { Button, IconButton } from '../ui/Button.tsx'
import { Badge } from '../ui/Card.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { ago, duration, number } from '../ui/format.ts'
import { useHelp } from '../ui/Help.tsx'
import { readTasks, taskAddress } from './data.ts'
import { many, states } from './words.ts'
import './tasks.css'

/** An empty text asks for nothing. `sort` is a column, with - before it for descending. */
export type TaskQuery = { search: string; filter: string; annotator: string; sort: string }

/** Rows that one request brings. */
const chunk = 200
const rowHeight = 40

const features = tableFeatures({ rowSortingFeature })
const helper = createColumnHelper<typeof features, TaskRow>()
const columns = helper.columns([
  helper.accessor('position', { header: 'No.' }),
  helper.accessor('prompt', {
    header: 'Prompt',
    enableSorting: false,
    cell: ({ getValue }) => <span dir="auto">{getValue()}</span>,
  }),
  helper.accessor('state', {
    header: 'State',
    cell: ({ getValue }) => <Badge tone={states[getValue()].tone}>{states[getValue()].name}</Badge>,
  }),
  helper.accessor('votes', { header: 'Votes' }),
  helper.accessor('disagreement', {
    header: 'Disagree',
    cell: ({ getValue }) => <Disagreement value={getValue()} />,
  }),
  helper.accessor('annotators', {
    header: 'People',
    enableSorting: false,
    cell: ({ getValue }) => getValue().join(', '),
  }),
  helper.accessor('seconds', {
    header: 'Time',
    cell: ({ getValue }) => {
      const value = getValue()
      return value === null ? '' : duration(value)
    },
  }),
  helper.accessor('at', { header: 'Last vote', cell: ({ getValue }) => (getValue() === null ? '' : ago(getValue()!)) }),
])

const help = {
  title: 'List of tasks',
  keys: [
    ['↑, ↓', 'go through the tasks'],
    ['Home, End', 'first and last task'],
    ['Enter', 'open the task'],
    ['h', 'history of the task'],
  ],
} as const

const Disagreement = ({ value }: { value: number | null }) =>
  value === null ? null : (
    <span className="disagreement">
      <progress className="progress" max={1} value={value} aria-hidden="true" />
      {value.toFixed(2)}
    </span>
  )

type Props = {
  id: number
  query: TaskQuery
  onSort(sort: string): void
  /** Opens the history of a task. */
  onHistory(row: TaskRow): void
  /** Takes search and filters away. */
  onClear(): void
}

export const TaskTable = ({ id, query, onSort, onHistory, onClear }: Props) => {
  useHelp(help)
  const [, navigate] = useLocation()
  const scroll = useRef<HTMLDivElement>(null)
  const [active, setActive] = useState(0)
  const known = useRef(0)
  const virtual = useVirtualizer({
    count: known.current,
    getScrollElement: () => scroll.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    scrollMargin: rowHeight,
  })
  const items = virtual.getVirtualItems()
  const { rows: loaded, total, error } = useLoaded(id, query, items[0]?.index ?? 0, items.at(-1)?.index ?? 0)
  if (total !== undefined) known.current = total
  const rows = known.current
  useEffect(() => virtual.measure(), [rows, virtual])
  // Another question, another list: from its top
  const question = `${query.search}\n${query.filter}\n${query.annotator}\n${query.sort}`
  useEffect(() => {
    setActive(0)
    scroll.current?.scrollTo({ top: 0 })
  }, [question])

  const sorting = useMemo<SortingState>(
    () => (query.sort ? [{ id: query.sort.replace(/^-/, ''), desc: query.sort.startsWith('-') }] : []),
    [query.sort],
  )
  const data = useMemo(() => [...loaded.values()], [loaded])
  const table = useTable({
    features,
    columns,
    data,
    getRowId: ({ id }) => String(id),
    manualSorting: true,
    state: { sorting },
    onSortingChange: (update) => {
      const [first] = typeof update === 'function' ? update(sorting) : update
      onSort(first ? `${first.desc ? '-' : ''}${first.id}` : '')
    },
  })
  const shownRows = new Map(table.getRowModel().rows.map((row) => [row.original.id, row]))

  const move = (to: number) => {
    const next = Math.max(0, Math.min(rows - 1, to))
    setActive(next)
    virtual.scrollToIndex(next)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return
    const row = loaded.get(active)
    const page = Math.max(1, Math.floor((scroll.current?.clientHeight ?? 0) / rowHeight) - 2)
    const actions: Record<string, () => void> = {
      ArrowDown: () => move(active + 1),
      ArrowUp: () => move(active - 1),
      PageDown: () => move(active + page),
      PageUp: () => move(active - page),
      Home: () => move(0),
      End: () => move(rows - 1),
      Enter: () => row && navigate(taskAddress(id, row.id)),
      h: () => row && onHistory(row),
    }
    const action = actions[event.key]
    if (!action) return
    event.preventDefault()
    action()
  }

  if (error) return <ErrorNote error={error} />
  if (total === 0)
    return (
      <EmptyState
        title={query.search || query.filter || query.annotator ? 'No task matches' : 'There are no tasks yet'}
        next={
          query.search || query.filter || query.annotator ? (
            <Button onClick={onClear}>Show all tasks</Button>
          ) : (
            <Link href={`/label/${id}`} className="button primary">
              Add rows
            </Link>
          )
        }
      />
    )
  return (
    <div className="task-table">
      <p className="soft table-note">
        <span role="status">{total === undefined ? '' : many(total, 'task')}</span>
        <span className="keys">
          <kbd>↑</kbd> <kbd>↓</kbd> move, <kbd>Enter</kbd> opens, <kbd>h</kbd> history
        </span>
      </p>
      {/* biome-ignore lint/a11y/useSemanticElements: a virtual table has no <table> */}
      <div
        ref={scroll}
        className="task-grid"
        role="grid"
        aria-label="Tasks"
        aria-rowcount={rows + 1}
        aria-activedescendant={loaded.has(active) ? `task-${loaded.get(active)!.id}` : undefined}
        tabIndex={0}
        onKeyDown={onKeyDown}
      >
        {/* biome-ignore lint/a11y/useSemanticElements: as above */}
        <div role="row" aria-rowindex={1} className="task-row head" tabIndex={-1}>
          {table.getFlatHeaders().map((header) => {
            const sorted = header.column.getIsSorted()
            return (
              // biome-ignore lint/a11y/useSemanticElements: as above
              <div
                key={header.id}
                role="columnheader"
                tabIndex={-1}
                className={`cell ${header.column.id}`}
                aria-sort={sorted ? (sorted === 'desc' ? 'descending' : 'ascending') : undefined}
              >
                {header.column.getCanSort() ? (
                  <button type="button" onClick={header.column.getToggleSortingHandler()}>
                    <table.FlexRender header={header} />
                    {sorted === 'asc' && <ArrowUp size={14} aria-hidden />}
                    {sorted === 'desc' && <ArrowDown size={14} aria-hidden />}
                  </button>
                ) : (
                  <table.FlexRender header={header} />
                )}
              </div>
            )
          })}
          {/* biome-ignore lint/a11y/useSemanticElements: as above */}
          <div role="columnheader" tabIndex={-1} className="cell actions">
            <span className="unseen">History</span>
          </div>
        </div>
        <div role="presentation" className="task-rows" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const task = loaded.get(item.index)
            const row = task && shownRows.get(task.id)
            return (
              // biome-ignore lint/a11y/useSemanticElements lint/a11y/useKeyWithClickEvents: as above; keys are those of the grid
              <div
                key={item.key}
                id={task && `task-${task.id}`}
                role="row"
                tabIndex={-1}
                aria-rowindex={item.index + 2}
                aria-selected={item.index === active}
                className="task-row"
                style={{ transform: `translateY(${item.start - rowHeight}px)` }}
                onClick={() => {
                  setActive(item.index)
                  if (task) navigate(taskAddress(id, task.id))
                }}
              >
                {row?.getAllCells().map((cell) => (
                  // biome-ignore lint/a11y/useSemanticElements: as above
                  <div key={cell.id} role="gridcell" tabIndex={-1} className={`cell ${cell.column.id}`}>
                    <table.FlexRender cell={cell} />
                  </div>
                ))}
                {task && (
                  // biome-ignore lint/a11y/useSemanticElements: as above
                  <div role="gridcell" tabIndex={-1} className="cell actions">
                    <IconButton
                      label={`History of task ${number(task.position)}`}
                      tabIndex={-1}
                      onClick={(event) => {
                        event.stopPropagation()
                        setActive(item.index)
                        onHistory(task)
                      }}
                    >
                      <History size={16} aria-hidden />
                    </IconButton>
                  </div>
                )}
              </div>
            )
          })}
        </div>
      </div>
    </div>
  )
}

/** The chunks of the list between two indices, as one map from the index in the list. */
const useLoaded = (id: number, { search, filter, annotator, sort }: TaskQuery, first: number, last: number) => {
  const from = Math.floor(first / chunk)
  const chunks = Array.from({ length: Math.floor(last / chunk) - from + 1 }, (_, i) => from + i)
  return useQueries({
    queries: chunks.map((at) => ({
      queryKey: ['tasks', id, search, filter, annotator, sort, at],
      queryFn: ({ signal }: { signal: AbortSignal }) => {
        const query = new URLSearchParams({ offset: String(at * chunk), limit: String(chunk) })
        for (const [name, value] of Object.entries({ search, filter, annotator, sort }))
          if (value) query.set(name, value)
        return readTasks(`/projects/${id}/tasks`, query, signal)
      },
    })),
    combine: combined(from),
  })
}

type ChunkAnswer = { data?: { total: number; rows: TaskRow[] }; error: Error | null }

const combined = (from: number) => (answers: ChunkAnswer[]) => ({
  rows: new Map(
    answers.flatMap(({ data }, i) =>
      (data?.rows ?? []).map((row, k): [number, TaskRow] => [(from + i) * chunk + k, row]),
    ),
  ),
  total: answers.find(({ data }) => data)?.data?.total,
  error: answers.find(({ error }) => error)?.error ?? undefined,
})
