/** Several runs over each other: curves, settings that differ, and last figures. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { X } from 'lucide-react'
import { Link, useLocation, useSearch } from 'wouter'
import type { RunComparison } from '../../studio/runs/api.ts'
import { get, useLive } from '../api.ts'
import { IconButton } from '../ui/Button.tsx'
import { Card } from '../ui/Card.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { number } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Table } from '../ui/Table.tsx'
import { comparePath, runPath, runsQuery } from './address.ts'
import { Charts } from './Charts.tsx'
import { DifferencesTable } from './DifferencesTable.tsx'
import RunPage from './RunPage.tsx'
import { StateBadge } from './StateBadge.tsx'
import './runs.css'

const ComparePage = () => {
  const names = [...new Set(new URLSearchParams(useSearch()).getAll('run'))]
  // A run may have the name of this page
  return names.length ? <Comparison names={names} /> : <RunPage />
}

export default ComparePage

const Comparison = ({ names }: { names: readonly string[] }) => {
  const client = useQueryClient()
  const [, go] = useLocation()
  const comparison = useQuery({
    queryKey: ['run-comparison', ...names],
    queryFn: () => get<RunComparison>(`/run-comparison?${runsQuery(names)}`),
    placeholderData: (before) => before,
  })
  const refresh = () => {
    void client.invalidateQueries({ queryKey: ['run-curves'] })
    void client.invalidateQueries({ queryKey: ['run-comparison'] })
  }
  useLive(
    names.map((name) => `run/${name}`),
    refresh,
    refresh,
  )
  if (comparison.isError) return <ErrorNote error={comparison.error} />
  if (!comparison.data) return null
  const { runs, metrics, axes, figures, apart, note } = comparison.data
  return (
    <>
      <PageHead title="Compare runs" crumbs={[{ name: 'Runs', href: '/runs' }]} />
      <ul className="compared" aria-label="Runs">
        {runs.map((row, i) => (
          <li key={row.name}>
            <svg width="18" height="8" aria-hidden>
              <line x1="0" y1="4" x2="18" y2="4" className={`series-${i % 6}`} />
            </svg>
            <Link href={runPath(row.name)}>
              <bdi>{row.name}</bdi>
            </Link>
            <StateBadge row={row} />
            <IconButton
              label={`Take ${row.name} out`}
              disabled={runs.length === 1}
              onClick={() => go(comparePath(names.filter((name) => name !== row.name)))}
            >
              <X size={14} aria-hidden />
            </IconButton>
          </li>
        ))}
      </ul>
      <div className="stack">
        {apart && (
          <Card title="Losses that cannot be compared">
            <p>{apart.why}</p>
            <ul>
              {apart.changes.map((change, i) => (
                <li key={runs[i].name}>
                  <bdi>{runs[i].name}</bdi>: {change}
                </li>
              ))}
            </ul>
          </Card>
        )}
        <Charts runs={runs.map(({ name }) => name)} metrics={metrics} axes={axes} />
        <Card title="Settings that differ">
          <DifferencesTable comparison={comparison.data} />
        </Card>
        <Card title="Figures at the end">
          <p className="soft">
            Of held-out rows: what the result was measured at. Of training: means of the last steps. {note}
          </p>
          {figures.length === 0 ? (
            <EmptyState title="Nothing was logged yet" />
          ) : (
            <Table label="Figures at the end">
              <thead>
                <tr>
                  <th scope="col">Metric</th>
                  {runs.map(({ name }) => (
                    <th key={name} scope="col" className="number">
                      <bdi>{name}</bdi>
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {figures.map(({ name, label, values }) => (
                  <tr key={name}>
                    <th scope="row" title={name}>
                      <bdi>{label}</bdi>
                    </th>
                    {values.map((value, i) => (
                      <td key={runs[i].name} className="number">
                        {number(value)}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </Table>
          )}
        </Card>
      </div>
    </>
  )
}
