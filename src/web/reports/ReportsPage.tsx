/** The reports of the folder, and one of them in a frame that can do nothing but be read. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useSearch } from 'wouter'
import type { ReportNumbers, ReportRow } from '../../studio/reports/api.ts'
import { get } from '../api.ts'
import { Badge } from '../ui/Card.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Checkbox, Field, Input, Select } from '../ui/Field.tsx'
import { ago, number } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Table } from '../ui/Table.tsx'
import { Tabs } from '../ui/Tabs.tsx'
import './reports.css'

const ReportsPage = () => {
  const path = new URLSearchParams(useSearch()).get('path')
  const reports = useQuery({ queryKey: ['reports'], queryFn: () => get<ReportRow[]>('/reports') })
  if (reports.isError) return <ErrorNote error={reports.error} />
  if (!reports.data) return null
  const report = reports.data.find((row) => row.path === path)
  if (report) return <Report report={report} />
  if (path !== null)
    return <EmptyState title="There is no such report" next={<Link href="/reports">All reports</Link>} />
  return <Reports rows={reports.data} />
}

export default ReportsPage

const everything = ''

const Reports = ({ rows }: { rows: readonly ReportRow[] }) => {
  const [search, setSearch] = useState('')
  const [kind, setKind] = useState(everything)
  const [ofRuns, setOfRuns] = useState(false)
  const kinds = [...new Set(rows.map((row) => row.kind))].filter((each) => each !== 'run').sort()
  const runs = rows.filter((row) => row.kind === 'run').length
  const shown = rows.filter(
    (row) =>
      (ofRuns || row.kind !== 'run') &&
      (kind === everything || row.kind === kind) &&
      `${row.title} ${row.path}`.toLowerCase().includes(search.toLowerCase()),
  )
  return (
    <>
      <PageHead title="Reports" lead="Comparisons of models, tests of judges, and the labs' findings in this folder." />
      <div className="report-filters">
        <Field label="Search reports" hideLabel>
          <Input
            type="search"
            placeholder="Search reports"
            value={search}
            onChange={({ target }) => setSearch(target.value)}
          />
        </Field>
        {kinds.length > 1 && (
          <Field label="Kind" hideLabel>
            <Select
              value={kind}
              onChange={setKind}
              options={[
                { value: everything, name: 'All kinds' },
                ...kinds.map((each) => ({ value: each, name: each })),
              ]}
            />
          </Field>
        )}
        {runs > 0 && <Checkbox label={`Pages of ${runs} runs too`} checked={ofRuns} onChange={setOfRuns} />}
      </div>
      {shown.length ? (
        <Table label="Reports">
          <thead>
            <tr>
              <th scope="col">Report</th>
              <th scope="col">Kind</th>
              <th scope="col">Written</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ path, title, kind, changed }) => (
              <tr key={path}>
                <th scope="row" className="report-name">
                  <Link href={`/reports?path=${encodeURIComponent(path)}`}>
                    <bdi>{title}</bdi>
                  </Link>
                  <small className="soft">
                    <bdi>{path}</bdi>
                  </small>
                </th>
                <td>
                  <Badge>{kind}</Badge>
                </td>
                <td className="soft">{ago(changed)}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      ) : rows.length > (ofRuns ? 0 : runs) ? (
        <EmptyState title="No report fits" />
      ) : (
        <EmptyState
          title="No reports yet"
          next={<code>attune compare RUN --base MODEL --data held.jsonl --judge SPEC</code>}
        >
          <p>
            What <code>attune compare</code>, <code>attune bias</code> and the labs find out is written as a page, and
            stands here.
          </p>
        </EmptyState>
      )}
    </>
  )
}

const Report = ({ report }: { report: ReportRow }) => {
  const [tab, setTab] = useState('page')
  const { path, title, numbers, changed } = report
  const frame = (
    <iframe
      className="report-frame"
      title={title}
      sandbox=""
      referrerPolicy="no-referrer"
      src={`/api/reports/page?path=${encodeURIComponent(path)}`}
    />
  )
  return (
    <>
      <PageHead
        title={title}
        crumbs={[{ name: 'Reports', href: '/reports' }]}
        lead={
          <>
            <code>{path}</code>, written {ago(changed)}
          </>
        }
      />
      {numbers === undefined ? (
        frame
      ) : (
        <Tabs
          label="Parts of the report"
          value={tab}
          onChange={setTab}
          tabs={[
            { value: 'page', name: 'Page', panel: frame },
            { value: 'numbers', name: 'Numbers', panel: <Numbers path={numbers} /> },
          ]}
        />
      )}
    </>
  )
}

const Numbers = ({ path }: { path: string }) => {
  const numbers = useQuery({
    queryKey: ['report-numbers', path],
    queryFn: () => get<ReportNumbers>(`/reports/numbers?path=${encodeURIComponent(path)}`),
  })
  if (numbers.isError) return <ErrorNote error={numbers.error} />
  if (!numbers.data) return null
  return (
    <div className="stack">
      <p className="soft">
        From <code>{path}</code>.
      </p>
      {numbers.data.tables.map(({ title, columns, rows }) => (
        <section key={title} className="stack">
          <h2>
            <bdi>{title}</bdi>
          </h2>
          <Table label={title}>
            <thead>
              <tr>
                {columns.map((column) => (
                  <th key={column} scope="col">
                    <bdi>{column}</bdi>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row, i) => (
                <tr key={i}>
                  {row.map((value, j) => (
                    <td key={columns[j]} className={typeof value === 'number' ? 'number' : undefined}>
                      <bdi>{typeof value === 'number' ? number(value) : value}</bdi>
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </Table>
        </section>
      ))}
    </div>
  )
}
