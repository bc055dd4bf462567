/** The table of runs. Of a long one only the rows near the screen are there. */
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useLayoutEffect, useRef, useState } from 'react'
import { Link } from 'wouter'
import type { RunRow } from '../../studio/runs/api.ts'
import { Badge, ProgressBar } from '../ui/Card.tsx'
import { ago, number } from '../ui/format.ts'
import { Sparkline } from '../ui/Plots.tsx'
import { SortHead, Table } from '../ui/Table.tsx'
import { runPath } from './address.ts'
import { StateBadge } from './StateBadge.tsx'

export type Sort = { by: 'name' | 'state' | 'steps' | 'best' | 'created' | 'alive'; order: 'asc' | 'desc' }

type Props = {
  rows: readonly RunRow[]
  sort: Sort
  onSort(sort: Sort): void
  chosen: ReadonlySet<string>
  onChoose(names: ReadonlySet<string>): void
}

const rowHeight = 57

export const RunTable = ({ rows, sort, onSort, chosen, onChoose }: Props) => {
  const frame = useRef<HTMLDivElement>(null)
  const [offset, setOffset] = useState(0)
  useLayoutEffect(() => setOffset(frame.current?.offsetTop ?? 0), [])
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => rowHeight,
    overscan: 12,
    scrollMargin: offset,
    getItemKey: (i) => rows[i].name,
  })
  const items = virtual.getVirtualItems()
  const before = (items[0]?.start ?? offset) - offset
  const after = virtual.getTotalSize() - ((items.at(-1)?.end ?? offset) - offset)
  const head = (by: Sort['by'], name: string, isNumber = false) => (
    <SortHead
      sort={sort.by === by ? sort.order : undefined}
      onSort={() => onSort({ by, order: sort.by === by && sort.order === 'desc' ? 'asc' : 'desc' })}
      number={isNumber}
    >
      {name}
    </SortHead>
  )
  const choose = (name: string, isChosen: boolean) => {
    const next = new Set(chosen)
    if (isChosen) next.add(name)
    else next.delete(name)
    onChoose(next)
  }
  return (
    <div ref={frame} className="run-table">
      <Table label="Runs">
        <thead>
          <tr>
            <th scope="col">
              <span className="unseen">Chosen</span>
            </th>
            {head('name', 'Run')}
            {head('state', 'State')}
            {head('steps', 'Steps', true)}
            {head('best', 'Measured', true)}
            <th scope="col">Curve</th>
            {head('alive', 'Last active')}
          </tr>
        </thead>
        <tbody>
          <Space height={before} />
          {items.map(({ key, index }) => {
            const row = rows[index]
            return (
              <tr key={key} data-index={index} ref={virtual.measureElement}>
                <td>
                  <input
                    type="checkbox"
                    className="choice"
                    aria-label={`Choose ${row.name}`}
                    checked={chosen.has(row.name)}
                    onChange={({ target }) => choose(row.name, target.checked)}
                  />
                </td>
                <Cells row={row} />
              </tr>
            )
          })}
          <Space height={after} />
        </tbody>
      </Table>
    </div>
  )
}

const Space = ({ height }: { height: number }) =>
  height > 0 ? (
    <tr aria-hidden>
      <td colSpan={7} style={{ height, padding: 0 }} />
    </tr>
  ) : null

const Cells = ({ row }: { row: RunRow }) => {
  const figure = row.best ?? row.last
  return (
    <>
      <th scope="row" className="run-name">
        <Link href={runPath(row.name)}>
          <bdi>{row.name}</bdi>
        </Link>
        <small className="soft">
          <bdi>{[row.method, row.model].filter(Boolean).join(' of ')}</bdi>
          {row.tags.map((tag) => (
            <Badge key={tag}>
              <bdi>{tag}</bdi>
            </Badge>
          ))}
        </small>
      </th>
      <td>
        <StateBadge row={row} />
        {row.reason && <small className="soft clip-small">{row.reason}</small>}
      </td>
      <td className="number">
        {row.state === 'running' && row.totalSteps > 0 ? (
          <>
            {number(row.steps)} of {number(row.totalSteps)}
            <ProgressBar label={`Progress of ${row.name}`} value={row.steps} max={row.totalSteps} />
          </>
        ) : (
          number(row.steps)
        )}
      </td>
      <td className="number">
        {figure ? (
          <>
            {number(figure.value)}
            <small className="soft">
              {row.best ? 'best ' : ''}
              {figure.label}, step {number(figure.step)}
            </small>
          </>
        ) : (
          '–'
        )}
      </td>
      <td>
        <Sparkline
          values={row.spark}
          label={row.last ? `${row.last.label} over the run, ${number(row.last.value)} at the end` : 'no curve'}
        />
      </td>
      <td className="soft nowrap">
        <time dateTime={row.alive} title={row.alive}>
          {ago(row.alive)}
        </time>
      </td>
    </>
  )
}
