/** The head of a labelling page: where one is, how far it is, and the guidelines. */
import { BookOpen } from 'lucide-react'
import { Link } from 'wouter'
import type { Progress, Project, TaskView } from '../../../studio/labels/api.ts'
import { Button } from '../../ui/Button.tsx'
import { ProgressBar } from '../../ui/Card.tsx'
import { duration } from './timing.ts'

type Props = {
  project: Project
  progress: Progress | undefined
  view: TaskView | undefined
  adjudicate: boolean
  guidelines: boolean
  onGuidelines(): void
}

export const Head = ({ project, progress, view, adjudicate, guidelines, onGuidelines }: Props) => (
  <header className="annotate-head">
    <div className="where">
      <Link href={`/label/${project.id}`}>{project.name}</Link>
      <h1>
        {adjudicate ? 'Decide' : 'Label'}
        {view && ` task ${view.position}`}
        {view && progress && <span className="soft"> of {progress.tasks}</span>}
      </h1>
    </div>
    {progress && <Figures progress={progress} />}
    {project.guidelines && (
      <Button aria-expanded={guidelines} onClick={onGuidelines}>
        <BookOpen size={16} aria-hidden /> <span className="tool-name">Guidelines</span>
      </Button>
    )}
  </header>
)

const Figures = ({ progress }: { progress: Progress }) => {
  const { own, tasks, finished } = progress
  const all = own.labelled + own.skipped + own.open
  return (
    <div className="figures-line">
      <div className="bars">
        <ProgressBar label={`Yours: ${own.labelled} of ${all}`} value={own.labelled} max={all} />
        <ProgressBar label={`Everyone: ${finished} of ${tasks} tasks are finished`} value={finished} max={tasks} />
      </div>
      <p>
        <strong>{own.labelled}</strong> done, {own.open} left
        {own.skipped > 0 && `, ${own.skipped} skipped`}
        <span className="soft wide-only">
          {own.seconds !== null && ` · ${duration(own.seconds)} each`}
          {own.today > 0 && ` · ${own.today} today`} · everyone: {finished} of {tasks}
        </span>
      </p>
    </div>
  )
}
