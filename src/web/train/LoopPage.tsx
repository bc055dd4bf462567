/** Label, train, blind re-test: the three steps of one project, what is done of each, and what the result means. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Check, Trash2 } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import { Link, useParams } from 'wouter'
import type { Job, Retest, RetestResult } from '../../studio/jobs/api.ts'
import type { Progress } from '../../studio/labels/api.ts'
import { get, post, request, useRefreshOn } from '../api.ts'
import { Button, IconButton } from '../ui/Button.tsx'
import { Badge, Card, Figure, ProgressBar } from '../ui/Card.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Field, Input } from '../ui/Field.tsx'
import { percent } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { plural } from '../ui/plural.ts'
import { runPath, useJobs, useProjectOf, useRetests } from './data.ts'
import { JobProgressBar, JobTable } from './JobTable.tsx'
import { ModelTools } from './ModelTools.tsx'
import './train.css'

const LoopPage = () => {
  const id = Number(useParams<{ project: string }>().project)
  const project = useProjectOf(id)
  useRefreshOn([`project/${id}`], 'progress')
  const progress = useQuery({ queryKey: ['progress', id], queryFn: () => get<Progress>(`/projects/${id}/progress`) })
  const jobs = useJobs()
  const retests = useRetests(id)
  const error = project.error ?? progress.error ?? jobs.error ?? retests.error
  if (error) return <ErrorNote error={error} page />
  if (!project.data || !progress.data || !jobs.data || !retests.data) return null
  const trained = jobs.data.filter((job) => job.project === id && job.kind === 'train')
  const tested = retests.data
  const isTrained = trained.some(({ state }) => state === 'done')
  return (
    <>
      <PageHead
        title="Label, train, re-test"
        crumbs={[{ name: project.data.name, href: `/label/${id}` }]}
        lead="What people say of answers trains a model; then they compare its answers blind with those from before."
      />
      <ol className="loop">
        <Step number={1} title="Label" done={progress.data.votes > 0}>
          <LabelStep id={id} progress={progress.data} />
        </Step>
        <Step number={2} title="Train" done={isTrained}>
          <TrainStep id={id} hasVotes={progress.data.votes > 0} jobs={trained} />
        </Step>
        <Step number={3} title="Blind re-test" done={tested.some(({ state }) => state === 'done')}>
          <RetestStep jobs={trained} retests={tested} />
        </Step>
      </ol>
    </>
  )
}

export default LoopPage

const Step = (props: { number: number; title: string; done: boolean; children: ReactNode }) => (
  <li>
    <Card
      title={
        <>
          <span className={props.done ? 'step done' : 'step'}>
            {props.done ? <Check size={14} aria-label="done" /> : props.number}
          </span>
          {props.title}
        </>
      }
    >
      {props.children}
    </Card>
  </li>
)

const LabelStep = ({ id, progress: { tasks, finished, votes } }: { id: number; progress: Progress }) => (
  <>
    <p>
      {plural(votes, 'vote')} on {plural(tasks, 'task')}; {finished} of them are finished.
    </p>
    {tasks > 0 && <ProgressBar label="Finished tasks" value={finished} max={tasks} />}
    <p className="row">
      <Link className="button" href={`/label/${id}/task`}>
        Label tasks
      </Link>
    </p>
    <details className="fold">
      <summary>Let models write answers, score or judge them</summary>
      <ModelTools project={id} />
    </details>
  </>
)

const TrainStep = ({ id, hasVotes, jobs }: { id: number; hasVotes: boolean; jobs: readonly Job[] }) => (
  <>
    {jobs.length > 0 && <JobTable project={id} />}
    {hasVotes ? (
      <p className="row">
        <Link className={jobs.length ? 'button' : 'button primary'} href={`/train?project=${id}`}>
          Train on these labels
        </Link>
      </p>
    ) : (
      <p className="soft">There is no label yet that a model could learn from.</p>
    )}
  </>
)

const RetestStep = ({ jobs, retests }: { jobs: readonly Job[]; retests: readonly Retest[] }) => {
  // A run that was resumed has several jobs
  const runs = [
    ...new Set(jobs.flatMap(({ state, run, method }) => (state === 'done' && run && method !== 'reward' ? [run] : []))),
  ]
  return (
    <>
      {retests.map((retest) => (
        <RetestView key={retest.id} {...retest} />
      ))}
      {runs.length > 0 ? (
        runs.map((run) => <NewRetestForm key={run} run={run} again={retests.some((one) => one.run === run)} />)
      ) : (
        <p className="soft">
          When a model is trained, it and the model from before answer the prompts that were held out, and you say blind
          which answer is the better.
        </p>
      )}
    </>
  )
}

const NewRetestForm = ({ run, again }: { run: string; again: boolean }) => {
  const [prompts, setPrompts] = useState('50')
  const [tokens, setTokens] = useState('256')
  const client = useQueryClient()
  const start = useMutation({
    mutationFn: () =>
      post<Retest>('/retests', { run, prompts: Number(prompts), sampling: { maxNewTokens: Number(tokens) } }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['retests'] }),
  })
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault()
        start.mutate()
      }}
    >
      <div className="form">
        <div className="pair">
          <Field label="Prompts, at most" hint="Held-out prompts, each once.">
            <Input inputMode="numeric" value={prompts} onChange={({ target }) => setPrompts(target.value)} />
          </Field>
          <Field label="Tokens of an answer, at most">
            <Input inputMode="numeric" value={tokens} onChange={({ target }) => setTokens(target.value)} />
          </Field>
        </div>
      </div>
      {start.isError && <ErrorNote error={start.error} />}
      <p className="row">
        <Button type="submit" look={again ? 'plain' : 'primary'} disabled={start.isPending}>
          {again ? `Re-test ${run} once more` : `Re-test ${run} blind`}
        </Button>
      </p>
    </form>
  )
}

const states: Readonly<Record<Retest['state'], string>> = {
  writing: 'the models write their answers',
  labelling: 'to be labelled',
  done: 'labelled',
  failed: 'failed',
}

const RetestView = ({ id, run, base, state, jobs, project, problem, result }: Retest) => {
  const client = useQueryClient()
  const forget = useMutation({
    mutationFn: () => request('DELETE', `/retests/${id}`),
    onSuccess: () => client.invalidateQueries({ queryKey: ['retests'] }),
  })
  return (
    <section className="stack retest" aria-label={`Re-test of ${run}`}>
      <div className="row">
        <h3>
          <Link href={runPath(run)}>{run}</Link> against {base}
        </h3>
        <Badge tone={state === 'failed' ? 'bad' : state === 'done' ? 'good' : 'accent'}>{states[state]}</Badge>
        <IconButton label={`Forget the re-test of ${run}`} onClick={() => forget.mutate()}>
          <Trash2 size={16} aria-hidden />
        </IconButton>
      </div>
      {problem && <p className="wrong">{problem}</p>}
      {state === 'writing' && jobs.map((job) => <JobLine key={job.id} {...job} />)}
      {result && <Result {...result} />}
      {project !== undefined && result && (
        <p className="row">
          {result.labelled < result.tasks && (
            <Link className="button primary" href={`/label/${project}/task`}>
              Label blind ({result.tasks - result.labelled} to go)
            </Link>
          )}
          <Link className="button" href={`/label/${project}`}>
            Its project
          </Link>
        </p>
      )}
    </section>
  )
}

const JobLine = (job: Job) => (
  <div>
    <Link href={`/train/jobs/${job.id}`}>{job.title}</Link>
    <JobProgressBar {...job} />
  </div>
)

const Result = ({ wins, ties, losses, labelled, tasks, winRate, low, high, meaning }: RetestResult) => (
  <>
    <p className="meaning">{meaning}</p>
    <dl className="figures">
      <Figure
        name="Win rate of the trained model"
        value={percent(winRate)}
        note={low !== undefined && high !== undefined && `95 % interval ${percent(low)} to ${percent(high)}`}
      />
      <Figure name="Wins" value={wins} />
      <Figure name="Ties" value={ties} />
      <Figure name="Losses" value={losses} />
      <Figure name="Labelled" value={`${labelled} of ${tasks}`} />
    </dl>
  </>
)
