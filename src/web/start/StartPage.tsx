/** The first page: what is in this folder, and what to do next. */
import { useQuery } from '@tanstack/react-query'
import { ArrowRight, FlaskConical, MessagesSquare, Tags, TrendingUp } from 'lucide-react'
import type { ReactNode } from 'react'
import { Link } from 'wouter'
import type { ProjectSummary } from '../../studio/labels/api.ts'
import type { RunList, RunRow, RunState } from '../../studio/runs/api.ts'
import { get, useRefreshOn } from '../api.ts'
import { useSession } from '../session.ts'
import { Badge, Card, ProgressBar, type Tone } from '../ui/Card.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { ago, number } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Sparkline } from '../ui/Plots.tsx'
import { labelPath, type NextStep, nextStep, projectPath, runPath } from './nextStep.ts'
import './start.css'

/** Of each kind as many as fit beside each other without scrolling. */
const shown = 5

const StartPage = () => {
  const { person, root } = useSession()
  const owner = person.role === 'own'
  const projects = useQuery({ queryKey: ['projects'], queryFn: () => get<ProjectSummary[]>('/projects') })
  const runs = useQuery({ queryKey: ['runs'], queryFn: () => get<RunList>('/runs'), enabled: owner })
  useRefreshOn(owner ? ['runs'] : [], 'runs')
  const ready = !projects.isPending && (!owner || !runs.isPending)
  const next = ready && nextStep(projects.data ?? [], newestFirst(runs.data?.runs ?? []), owner)
  const nothing = ready && owner && projects.data?.length === 0 && runs.data?.runs.length === 0
  return (
    <>
      <PageHead
        title={owner ? (root.split(/[\\/]/).findLast(Boolean) ?? root) : `Hello, ${person.name}`}
        lead={owner ? <code>{root}</code> : undefined}
      />
      {nothing && <FirstSteps />}
      {next && <Next {...next} />}
      {!nothing && (
        <div className="start">
          <Part title="Labels" href="/label" error={projects.error}>
            {projects.data && <Projects projects={projects.data} owner={owner} />}
          </Part>
          {owner && (
            <Part title="Runs" href="/runs" error={runs.error}>
              {runs.data && <Runs runs={runs.data.runs} />}
            </Part>
          )}
        </div>
      )}
      {owner && !nothing && (
        <div className="start doors">
          <Door href="/play" icon={<MessagesSquare size={20} aria-hidden />} title="Playground">
            Talk to a model, or to several side by side with the same seed.
          </Door>
          <Door href="/reports" icon={<FlaskConical size={20} aria-hidden />} title="Reports">
            Comparisons, tests for bias, scaling laws and what else the commands wrote.
          </Door>
        </div>
      )}
    </>
  )
}

const Next = ({ title, text, action, href }: NextStep) => (
  <section className="next-step" aria-label="What to do next">
    <div>
      <h2>{title}</h2>
      <p>{text}</p>
    </div>
    <Link href={href} className="button primary">
      {action}
      <ArrowRight size={16} aria-hidden />
    </Link>
  </section>
)

const Part = (props: { title: string; href: string; error: unknown; children: ReactNode }) => (
  <Card
    title={props.title}
    actions={
      <Link href={props.href} className="more" aria-label={`All ${props.title.toLowerCase()}`}>
        All
      </Link>
    }
  >
    {props.error ? <ErrorNote error={props.error} /> : props.children}
  </Card>
)

const Projects = ({ projects, owner }: { projects: readonly ProjectSummary[]; owner: boolean }) =>
  projects.length === 0 ? (
    <p className="soft">
      {owner ? (
        <>
          No project yet. <Link href="/label">Make one</Link> from a file of answers, or from what a model writes.
        </>
      ) : (
        'No project is open to you yet. Ask the person who sent you the link.'
      )}
    </p>
  ) : (
    <ul className="start-list">
      {projects.slice(0, shown).map((project) => (
        <li key={project.id}>
          <Link href={owner ? projectPath(project) : labelPath(project)}>{project.name}</Link>
          <span className="soft">
            {number(project.progress.finished)} of {number(project.progress.tasks)}
          </span>
          <ProgressBar
            label={`${project.name}: finished tasks`}
            value={project.progress.finished}
            max={project.progress.tasks}
          />
        </li>
      ))}
    </ul>
  )

const tones: Record<RunState, Tone> = {
  running: 'accent',
  done: 'plain',
  stopped: 'warn',
  'broken off': 'warn',
  failed: 'bad',
}

/** By their last sign of life, as the page of runs shows them. */
const newestFirst = (runs: readonly RunRow[]) => [...runs].sort((a, b) => b.alive.localeCompare(a.alive))

const Runs = ({ runs }: { runs: readonly RunRow[] }) =>
  runs.length === 0 ? (
    <p className="soft">
      No run yet. <Link href="/train">Start one</Link>, or see <code>attune sft --help</code>.
    </p>
  ) : (
    <ul className="start-list">
      {newestFirst(runs)
        .slice(0, shown)
        .map((run) => (
          <li key={run.name} className="run">
            <Link href={runPath(run)} title={run.name}>
              <bdi>{run.name}</bdi>
            </Link>
            <Sparkline
              label={run.last ? `${run.last.label}, now ${number(run.last.value)}` : 'no figures yet'}
              values={run.spark}
            />
            <Badge tone={tones[run.state]}>{run.state}</Badge>
            <span className="soft when">{ago(run.alive)}</span>
          </li>
        ))}
    </ul>
  )

const Door = (props: { href: string; icon: ReactNode; title: string; children: ReactNode }) => (
  <Link href={props.href} className="card door">
    {props.icon}
    <div>
      <h2>{props.title}</h2>
      <p className="soft">{props.children}</p>
    </div>
  </Link>
)

/** An empty folder: three ways to begin. */
const FirstSteps = () => (
  <>
    <p className="start-lead">There is nothing in this folder yet. Three ways to begin:</p>
    <div className="start three">
      <Door href="/label" icon={<Tags size={20} aria-hidden />} title="Label answers">
        Bring in a file of answers, or let a model write some. Rank them by keyboard; train on what you chose.
      </Door>
      <Door href="/train" icon={<TrendingUp size={20} aria-hidden />} title="Train a model">
        Start a run from a form, or in a terminal, and watch its curves as they grow.
      </Door>
      <Door href="/play" icon={<MessagesSquare size={20} aria-hidden />} title="Talk to a model">
        Open a folder in Hugging Face layout, ask it something, and say which answer is better.
      </Door>
    </div>
  </>
)

export default StartPage
