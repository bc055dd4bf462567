/** What stands around the pages of one project: its name, its pages, its progress, and the button to label. */
import { ArrowRight } from 'lucide-react'
import type { ReactNode } from 'react'
import { Link, useLocation } from 'wouter'
import type { Role } from '../../studio/session.ts'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { PageHead, useTitle } from '../ui/PageHead.tsx'
import { useMay, useProgress, useProject } from './data.ts'
import { ProgressLine } from './ProgressLine.tsx'
import './label.css'

const pages: readonly [path: string, name: string, role: Role][] = [
  ['', 'Overview', 'annotate'],
  ['/tasks', 'Tasks', 'adjudicate'],
  ['/agreement', 'Agreement', 'adjudicate'],
  ['/adjudicate', 'Adjudicate', 'adjudicate'],
  ['/settings', 'Settings', 'own'],
]

type Props = {
  id: number
  /** Of this page, for the browser's tab. */
  title: string
  /** Who may see this page. */
  needs?: Role
  children: ReactNode
}

export const ProjectFrame = ({ id, title, needs = 'adjudicate', children }: Props) => {
  const project = useProject(id)
  const may = { annotate: useMay('annotate'), adjudicate: useMay('adjudicate'), own: useMay('own') }
  const progress = useProgress(id)
  const [location] = useLocation()
  const base = `/label/${id}`
  useTitle(`${title}: ${project.data?.name ?? ''}`)
  if (project.isError) return <ErrorNote error={project.error} page />
  if (!project.data) return null
  if (!may[needs]) return <NotForYou id={id} />
  const { name } = project.data
  return (
    <div className="label-page">
      <PageHead
        title={name}
        crumbs={[{ name: 'Projects', href: '/label' }]}
        actions={progress.data && <LabelNext id={id} {...progress.data} />}
      />
      {progress.data && <ProgressLine progress={progress.data} />}
      {may.adjudicate && (
        <nav className="subnav" aria-label={`Pages of ${name}`}>
          {pages
            .filter(([, , needed]) => may[needed])
            .map(([path, words]) => (
              <Link
                key={path}
                href={`${base}${path}`}
                aria-current={location === `${base}${path}` ? 'page' : undefined}
              >
                {words}
              </Link>
            ))}
        </nav>
      )}
      {children}
    </div>
  )
}

/** The one thing to do next: label, or say that there is nothing left. */
export const LabelNext = ({
  id,
  tasks,
  own,
}: {
  id: number
  tasks: number
  own: { open: number; labelled: number }
}) => {
  if (tasks === 0) return null
  if (own.open === 0) return <span className="soft">You have labelled all of yours</span>
  return (
    <Link className="button primary" href={`/label/${id}/task`}>
      {own.labelled === 0 ? 'Start labelling' : 'Label next'}
      <ArrowRight size={16} aria-hidden />
    </Link>
  )
}

const NotForYou = ({ id }: { id: number }) => (
  <EmptyState title="This page is not open to you" next={<Link href={`/label/${id}`}>To the project</Link>}>
    <p>Your link lets you label. Ask the owner of the studio if you need more.</p>
  </EmptyState>
)
