/** The page of a run: how it stands, its curves, samples, settings, files and log. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { type ReactNode, useRef, useState } from 'react'
import type { RunPage as Page, RunPulse } from '../../studio/runs/api.ts'
import type { WorkersState } from '../../studio/workers/api.ts'
import { get, useLive } from '../api.ts'
import { Card, Figure, ProgressBar } from '../ui/Card.tsx'
import { Commands } from '../ui/Commands.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { ago, duration, number } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Tabs } from '../ui/Tabs.tsx'
import { useWorkers, WorkersOfRun } from '../workers/WorkersPanel.tsx'
import { runApi, runNameIn } from './address.ts'
import { Charts } from './Charts.tsx'
import { Controls } from './Controls.tsx'
import { FiguresTable } from './FiguresTable.tsx'
import { FilesTab } from './FilesTab.tsx'
import { LogTab } from './LogTab.tsx'
import { SamplesTab } from './SamplesTab.tsx'
import { SettingsTab } from './SettingsTab.tsx'
import { StateBadge } from './StateBadge.tsx'
import { Tags } from './Tags.tsx'
import './runs.css'

const RunPage = () => {
  const name = runNameIn(location.pathname)
  const client = useQueryClient()
  const page = useQuery({ queryKey: ['run', name], queryFn: () => get<Page>(runApi(name)) })
  const seen = useRef<string>(undefined)
  const workers = useWorkers()
  useLive(
    [`run/${name}`, ...workers.topics],
    (event) => {
      if (workers.take(event)) return
      const { row, events } = event.data as RunPulse
      client.setQueryData<Page>(['run', name], (before) => before && { ...before, row })
      void client.invalidateQueries({ queryKey: ['run-curves'] })
      // Warnings, checkpoints and the state change more seldom than the numbers
      const now = `${row.state} ${events} ${row.tags.join()} ${row.steps > 0}`
      if (seen.current !== now) {
        void client.invalidateQueries({ queryKey: ['run', name] })
        void client.invalidateQueries({ queryKey: ['run-samples', name] })
        void client.invalidateQueries({ queryKey: ['run-events', name] })
      }
      seen.current = now
    },
    () => {
      void client.invalidateQueries({ queryKey: ['run', name] })
      void client.invalidateQueries({ queryKey: ['run-curves'] })
    },
  )
  if (page.isError) return <ErrorNote error={page.error} />
  return page.data ? <Run name={name} page={page.data} workers={workers.state} /> : null
}

export default RunPage

const Run = ({ name, page, workers }: { name: string; page: Page; workers?: WorkersState }) => {
  const [tab, setTab] = useState('curves')
  const { row } = page
  return (
    <>
      <PageHead
        title={name}
        crumbs={[{ name: 'Runs', href: '/runs' }]}
        lead={
          <div className="row">
            <StateBadge row={row} />
            <bdi>{[row.method, row.model].filter(Boolean).join(' of ')}</bdi>
            <Tags name={name} tags={row.tags} editable={row.kind === 'attune'} />
          </div>
        }
        actions={<Controls name={name} page={page} />}
      />
      <Head page={page}>
        {workers && row.state === 'running' && <WorkersOfRun state={workers} folder={page.folder} />}
      </Head>
      <Warnings page={page} />
      <Tabs
        label="Parts of the run"
        value={tab}
        onChange={setTab}
        tabs={[
          { value: 'curves', name: 'Curves', panel: <CurvesTab name={name} page={page} /> },
          { value: 'samples', name: 'Samples', panel: <SamplesTab name={name} /> },
          { value: 'settings', name: 'Settings', panel: <SettingsTab name={name} page={page} /> },
          { value: 'files', name: 'Files', panel: <FilesTab name={name} page={page} /> },
          { value: 'log', name: 'Log', panel: <LogTab name={name} /> },
        ]}
      />
    </>
  )
}

const Head = ({ page: { row, headline, note, phases }, children }: { page: Page; children: ReactNode }) => (
  <div className="stack run-head">
    {row.reason && row.state === 'failed' && <ErrorNote error={row.reason} />}
    {headline && <p className="headline">{headline}</p>}
    {note && <p className="soft">{note}</p>}
    <dl className="figures">
      <Figure name="Steps" value={number(row.steps)} note={`of ${number(row.totalSteps)}`} />
      {row.last && <Figure name={row.last.label} value={number(row.last.value)} note="at the end" />}
      {row.best && <Figure name="Best" value={number(row.best.value)} note={`at step ${number(row.best.step)}`} />}
      {phases.length > 0 && (
        <Figure name="Time of training" value={duration(phases.reduce((sum, { seconds }) => sum + seconds, 0))} />
      )}
      <Figure
        name="Last active"
        value={ago(row.alive)}
        note={row.reason && row.state === 'done' ? row.reason : undefined}
      />
    </dl>
    {row.state === 'running' && row.totalSteps > 0 && (
      <ProgressBar label="Steps made" value={row.steps} max={row.totalSteps} />
    )}
    {children}
  </div>
)

const Warnings = ({ page: { warnings, damaged } }: { page: Page }) =>
  warnings.length || damaged ? (
    <section className="warnings" aria-label="Warnings">
      <h2>Worth knowing</h2>
      <ul>
        {warnings.map(({ code, message, count }) => (
          <li key={code}>
            <bdi>{message}</bdi>
            {count !== undefined && count > 1 && ` (${number(count)} times)`} <code>{code}</code>
          </li>
        ))}
        {damaged > 0 && (
          <li>{number(damaged)} lines of the log are damaged and were passed over; the rest is shown.</li>
        )}
      </ul>
    </section>
  ) : null

const CurvesTab = ({ name, page }: { name: string; page: Page }) => {
  const { metrics, axes, figures, phases, next, command } = page
  const total = phases.reduce((sum, { seconds }) => sum + seconds, 0)
  return (
    <div className="stack">
      <Charts runs={[name]} metrics={metrics} axes={axes} />
      {phases.length > 0 && (
        <Card title="Where the time went">
          <ul className="phases">
            {phases.map(({ name: phase, seconds }) => (
              <li key={phase}>
                <span>{phase}</span>
                <ProgressBar label={`Share of ${phase}`} value={seconds} max={total} />
                <span className="number">
                  {duration(seconds)}, {Math.round((100 * seconds) / total)} %
                </span>
              </li>
            ))}
          </ul>
        </Card>
      )}
      <FiguresTable figures={figures} />
      {next.length > 0 && (
        <Card title="What next">
          <Commands lines={next} />
          <p className="soft">The run was made by</p>
          <Commands lines={[command]} />
        </Card>
      )}
    </div>
  )
}
