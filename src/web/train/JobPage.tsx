/** One job: its command line, how far it is, what it prints, and buttons to stop it or go on. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Play, RotateCcw, Square, Trash2 } from 'lucide-react'
import { useEffect } from 'react'
import { Link, useLocation, useParams, useSearch } from 'wouter'
import type { Job, JobDetails } from '../../studio/jobs/api.ts'
import { post, request } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Card, Figure } from '../ui/Card.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { ago, duration, number } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { useToast } from '../ui/Toasts.tsx'
import { runPath, useJob } from './data.ts'
import { JobBadge, JobProgressBar } from './JobTable.tsx'
import { CommandLine } from './TrainForm.tsx'
import './train.css'

const JobPage = () => {
  const id = Number(useParams<{ id: string }>().id)
  const { data: job, error } = useJob(id)
  const [, go] = useLocation()
  const follow = useSearch().includes('follow')
  const run = job?.run
  useEffect(() => {
    // The page of the run says more, once there is one
    if (follow && run && job?.kind === 'train') go(runPath(run), { replace: true })
  }, [follow, run, job?.kind, go])
  if (error) return <ErrorNote error={error} page />
  if (!job) return null
  return (
    <>
      <PageHead
        title={job.title}
        crumbs={[{ name: 'Train', href: '/train' }]}
        lead={
          <span className="row">
            <JobBadge state={job.state} />
            {job.state === 'waiting' && 'It begins when the job before it has ended.'}
            {job.problem}
          </span>
        }
        actions={<Actions {...job} />}
      />
      <div className="stack">
        <Card>
          <JobProgressBar {...job} />
          <Facts {...job} />
          <CommandLine command={job.command} />
        </Card>
        <Output {...job} />
      </div>
    </>
  )
}

export default JobPage

const Facts = ({ run, project, created, started, ended, exitCode }: Job) => (
  <dl className="figures">
    {run && <Figure name="Run" value={<Link href={runPath(run)}>{run}</Link>} />}
    {project !== undefined && <Figure name="Project" value={<Link href={`/label/${project}`}>{project}</Link>} />}
    <Figure name="Asked for" value={ago(created)} />
    {started && (
      <Figure name="Time" value={duration(((ended ? Date.parse(ended) : Date.now()) - Date.parse(started)) / 1000)} />
    )}
    {exitCode !== undefined && <Figure name="Exit code" value={exitCode} />}
  </dl>
)

const Actions = ({ id, can, state }: Job) => {
  const client = useQueryClient()
  const toast = useToast()
  const [, go] = useLocation()
  const act = useMutation({
    mutationFn: (action: 'start' | 'stop' | 'resume') => post<Job>(`/jobs/${id}/${action}`),
    onSuccess(job, action) {
      void client.invalidateQueries({ queryKey: ['job', id] })
      if (action === 'resume') go(`/train/jobs/${job.id}?follow`)
    },
    onError: (error) => toast({ text: error.message, look: 'error' }),
  })
  const forget = useMutation({
    mutationFn: () => request('DELETE', `/jobs/${id}`),
    onSuccess: () => go('/train'),
    onError: (error) => toast({ text: error.message, look: 'error' }),
  })
  return (
    <>
      {can.forget && (
        <Button look="quiet" onClick={() => forget.mutate()}>
          <Trash2 size={16} aria-hidden /> Forget it
        </Button>
      )}
      {can.start && (
        <Button onClick={() => act.mutate('start')}>
          <Play size={16} aria-hidden /> Start now
        </Button>
      )}
      {can.resume && (
        <Button look="primary" onClick={() => act.mutate('resume')}>
          <RotateCcw size={16} aria-hidden /> Resume
        </Button>
      )}
      {can.stop && (
        <Button onClick={() => act.mutate('stop')}>
          <Square size={16} aria-hidden /> {state === 'stopping' ? 'Stop at once' : 'Stop'}
        </Button>
      )}
    </>
  )
}

const EventLine = ({ event, ...rest }: Record<string, unknown>) => (
  <p>
    <b>{event === undefined ? 'result' : String(event)}</b>{' '}
    {Object.entries(rest).map(([key, value]) => (
      <span key={key}>
        <span className="soft">{key}</span> {typeof value === 'number' ? number(value) : String(value)}{' '}
      </span>
    ))}
  </p>
)

const Output = ({ events, stderr }: JobDetails) => (
  <>
    <Card title="Last events">
      {events.length ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <section className="output" tabIndex={0} aria-label="Last events">
          {events.map((event, i) => (
            <EventLine key={i} {...event} />
          ))}
        </section>
      ) : (
        <p className="soft">It has printed nothing yet.</p>
      )}
    </Card>
    {stderr && (
      <Card title="Messages">
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
        <section className="output" tabIndex={0} aria-label="Messages">
          <pre>{stderr}</pre>
        </section>
      </Card>
    )}
  </>
)
