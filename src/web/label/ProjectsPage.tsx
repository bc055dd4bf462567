/** The projects of the studio, or the way to the first one. */
import { ArrowRight, Plus, Settings } from 'lucide-react'
import { useState } from 'react'
import { Link, useLocation } from 'wouter'
import type { ProjectSummary } from '../../studio/labels/api.ts'
import { Button } from '../ui/Button.tsx'
import { Badge } from '../ui/Card.tsx'
import { Dialog } from '../ui/Dialog.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { PageHead } from '../ui/PageHead.tsx'
import { useLiveLabels, useMay, useProjects } from './data.ts'
import { type Made, NewProjectForm } from './NewProject.tsx'
import { ProgressLine } from './ProgressLine.tsx'
import { modes } from './words.ts'
import './label.css'

const ProjectsPage = () => {
  useLiveLabels('project/')
  const projects = useProjects()
  const owner = useMay('own')
  if (projects.isError) return <ErrorNote error={projects.error} page />
  if (!projects.data) return null
  if (projects.data.length > 0) return <List projects={projects.data} owner={owner} />
  return owner ? <FirstProject /> : <NothingOpen />
}

export default ProjectsPage

const NothingOpen = () => (
  <EmptyState title="No project is open to you yet">
    <p>Ask the owner of the studio to open one; it appears here at once.</p>
  </EmptyState>
)

/** Where a project goes once it is there: to the first task, or where rows can be added. */
const useOpenMade = () => {
  const [, navigate] = useLocation()
  return ({ project: { id }, report }: Made) => navigate(`/label/${id}${report && report.added > 0 ? '/task' : ''}`)
}

const FirstProject = () => {
  const openMade = useOpenMade()
  return (
    <div className="label-page first-project">
      <PageHead
        title="Label your first answers"
        lead="Choose a file with prompts and responses. attune proposes how to label them; you can change it later."
      />
      <NewProjectForm onMade={openMade} />
    </div>
  )
}

const List = ({ projects, owner }: { projects: readonly ProjectSummary[]; owner: boolean }) => {
  const [making, setMaking] = useState(false)
  const openMade = useOpenMade()
  return (
    <div className="label-page">
      <PageHead
        title="Label"
        actions={
          owner && (
            <>
              <Link className="button" href="/label/people">
                People
              </Link>
              <Button look="primary" onClick={() => setMaking(true)}>
                <Plus size={16} aria-hidden /> New project
              </Button>
            </>
          )
        }
      />
      <ul className="projects">
        {projects.map((project) => (
          <ProjectItem key={project.id} project={project} owner={owner} />
        ))}
      </ul>
      <Dialog open={making} onOpenChange={setMaking} title="New project" size="wide">
        <NewProjectForm onMade={openMade} lead="Choose the rows that people label." />
      </Dialog>
    </div>
  )
}

const ProjectItem = ({ project, owner }: { project: ProjectSummary; owner: boolean }) => {
  const { id, name, mode, progress } = project
  const left = progress.own.open > 0
  return (
    <li className="card project">
      <header>
        <h2 dir="auto">
          <Link href={`/label/${id}`}>{name}</Link>
        </h2>
        <Badge>{modes[mode].name}</Badge>
      </header>
      <ProgressLine progress={progress} />
      <footer>
        {left && (
          <Link className="button primary" href={`/label/${id}/task`}>
            Label next <ArrowRight size={16} aria-hidden />
            <span className="unseen"> of {name}</span>
          </Link>
        )}
        {!left && progress.tasks > 0 && <span className="soft">Nothing is open to you</span>}
        {progress.tasks === 0 && owner && (
          <Link className="button" href={`/label/${id}`}>
            Add rows <span className="unseen"> to {name}</span>
          </Link>
        )}
        {owner && (
          <Link className="button quiet" href={`/label/${id}/settings`}>
            <Settings size={16} aria-hidden /> Settings <span className="unseen"> of {name}</span>
          </Link>
        )}
      </footer>
    </li>
  )
}
