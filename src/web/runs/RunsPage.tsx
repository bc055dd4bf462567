/** The runs of the folder: searched, filtered, sorted, and chosen to be compared. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { type ReactNode, useMemo, useState } from 'react'
import { useLocation } from 'wouter'
import type { RunChange, RunList, RunRow, RunState } from '../../studio/runs/api.ts'
import { get, useLive } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Field, Input, Select } from '../ui/Field.tsx'
import { PageHead } from '../ui/PageHead.tsx'
import { useWorkers, WorkersPanel } from '../workers/WorkersPanel.tsx'
import { comparePath } from './address.ts'
import { RunTable, type Sort } from './RunTable.tsx'
import './runs.css'

const RunsPage = () => {
  const client = useQueryClient()
  const list = useQuery({ queryKey: ['runs'], queryFn: () => get<RunList>('/runs') })
  const workers = useWorkers()
  useLive(
    ['runs', ...workers.topics],
    (event) => {
      if (workers.take(event)) return
      const change = event.data as RunChange
      client.setQueryData<RunList>(['runs'], (before) => before && changed(before, change))
    },
    () => void client.invalidateQueries({ queryKey: ['runs'] }),
  )
  if (list.isError) return <ErrorNote error={list.error} />
  if (!list.data) return null
  const panel = workers.state && <WorkersPanel state={workers.state} />
  if (list.data.runs.length) return <Runs runs={list.data.runs} panel={panel} />
  return (
    <>
      {panel}
      <NoRuns folder={list.data.folder} />
    </>
  )
}

export default RunsPage

const runStates: readonly RunState[] = ['running', 'done', 'stopped', 'broken off', 'failed']

const changed = ({ runs, folder }: RunList, { changed, gone }: RunChange): RunList => {
  const byName = new Map(runs.map((row) => [row.name, row]))
  for (const row of changed) byName.set(row.name, row)
  for (const name of gone) byName.delete(name)
  return { runs: [...byName.values()], folder }
}

const NoRuns = ({ folder }: { folder: string }) => (
  <EmptyState title="No runs yet" next={<code>attune sft --model MODEL --data rows.jsonl</code>}>
    <p>
      Runs in <code>{folder}</code> and below it stand here, and move while they are trained. Event files of TensorBoard
      and the trainer_state.json of TRL are shown too. Begin one in a terminal:
    </p>
  </EmptyState>
)

const anything = ''

/** @param panel stands above the list */
const Runs = ({ runs, panel }: { runs: readonly RunRow[]; panel: ReactNode }) => {
  const [, go] = useLocation()
  const [search, setSearch] = useState('')
  const [state, setState] = useState(anything)
  const [method, setMethod] = useState(anything)
  const [tag, setTag] = useState(anything)
  const [sort, setSort] = useState<Sort>({ by: 'alive', order: 'desc' })
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const tags = useMemo(() => distinct(runs.flatMap((row) => row.tags)), [runs])
  const methods = useMemo(() => distinct(runs.map((row) => row.method).filter(Boolean)), [runs])
  const shown = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean)
    const isWanted = (row: RunRow) => {
      const text = [row.name, row.method, row.model, row.kind, ...row.tags].join(' ').toLowerCase()
      return (
        words.every((word) => text.includes(word)) &&
        (state === anything || row.state === state) &&
        (method === anything || row.method === method) &&
        (tag === anything || row.tags.includes(tag))
      )
    }
    return sorted(runs.filter(isWanted), sort)
  }, [runs, search, state, method, tag, sort])
  const names = [...chosen].filter((name) => runs.some((row) => row.name === name))
  const running = runs.filter((row) => row.state === 'running').length
  return (
    <>
      <PageHead
        title="Runs"
        lead={`${runs.length} ${runs.length === 1 ? 'run' : 'runs'}${running ? `, ${running} running` : ''}`}
        actions={
          <>
            {names.length > 0 && (
              <Button look="quiet" onClick={() => setChosen(new Set())}>
                Clear the choice
              </Button>
            )}
            <Button
              look="primary"
              disabled={names.length < 2 || names.length > 12}
              title={names.length > 12 ? 'Twelve runs at most can be compared' : 'Choose two runs or more in the list'}
              onClick={() => go(comparePath(names))}
            >
              Compare{names.length > 1 ? ` ${names.length} runs` : ''}
            </Button>
          </>
        }
      />
      {panel}
      <div className="run-filters">
        <Field label="Search runs" hideLabel>
          <Input
            type="search"
            placeholder="Search name, model, method or tag"
            value={search}
            onChange={({ target }) => setSearch(target.value)}
          />
        </Field>
        <Filter label="State" all="All states" value={state} onChange={setState} values={runStates} />
        <Filter label="Method" all="All methods" value={method} onChange={setMethod} values={methods} />
        {tags.length > 0 && <Filter label="Tag" all="All tags" value={tag} onChange={setTag} values={tags} />}
      </div>
      {shown.length ? (
        <RunTable rows={shown} sort={sort} onSort={setSort} chosen={chosen} onChoose={setChosen} />
      ) : (
        <EmptyState
          title="No run fits"
          next={
            <Button
              onClick={() => {
                setSearch('')
                setState(anything)
                setMethod(anything)
                setTag(anything)
              }}
            >
              Show all {runs.length} runs
            </Button>
          }
        />
      )}
    </>
  )
}

type FilterProps = {
  label: string
  all: string
  value: string
  onChange(value: string): void
  values: readonly string[]
}

const Filter = ({ label, all, value, onChange, values }: FilterProps) => (
  <Field label={label} hideLabel>
    <Select
      value={value}
      onChange={onChange}
      options={[{ value: anything, name: all }, ...values.map((each) => ({ value: each, name: each }))]}
    />
  </Field>
)

const distinct = (words: readonly string[]) => [...new Set(words)].sort()

const keys: Record<Sort['by'], (row: RunRow) => string | number> = {
  name: ({ name }) => name,
  state: ({ state }) => runStates.indexOf(state),
  steps: ({ steps }) => steps,
  best: ({ best, last }) => (best ?? last)?.value ?? Number.NEGATIVE_INFINITY,
  created: ({ created }) => created,
  alive: ({ alive }) => alive,
}

const collator = new Intl.Collator('en', { numeric: true })

const sorted = (rows: RunRow[], { by, order }: Sort): RunRow[] => {
  const key = keys[by]
  const sign = order === 'asc' ? 1 : -1
  const compare = (a: string | number, b: string | number) =>
    typeof a === 'string' ? collator.compare(a, String(b)) : Number(a) - Number(b)
  return rows.sort((a, b) => sign * (compare(key(a), key(b)) || collator.compare(a.name, b.name)))
}
