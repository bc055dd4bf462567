/** Nothing is left in the queue: what was done, and what one can do next. */
import { useMutation } from '@tanstack/react-query'
import { Link, useLocation } from 'wouter'
import type { Progress, Project, TaskPage } from '../../../studio/labels/api.ts'
import { get } from '../../api.ts'
import { useSession } from '../../session.ts'
import { Button } from '../../ui/Button.tsx'
import { EmptyState } from '../../ui/EmptyState.tsx'
import { ErrorNote } from '../../ui/ErrorNote.tsx'
import { duration } from './timing.ts'

type Props = { project: Project; progress: Progress | undefined; adjudicate: boolean; onUndo(): void }

export const Done = ({ project, progress, adjudicate, onUndo }: Props) => {
  const { person } = useSession()
  const [, navigate] = useLocation()
  const { id } = project
  const back = useMutation({
    mutationFn: async () => {
      const mine = `annotator=${encodeURIComponent(person.name)}`
      const { rows } = await get<TaskPage>(`/projects/${id}/tasks?filter=skipped&${mine}&limit=1`)
      if (rows.length > 0) navigate(`/label/${id}/task/${rows[0].id}`)
    },
  })
  if (progress?.tasks === 0)
    return (
      <EmptyState
        title="There are no tasks yet"
        next={person.role === 'own' ? <Link href={`/label/${id}`}>Import some</Link> : undefined}
      >
        <p>
          {person.role === 'own' ? 'Import a file of rows into the project.' : 'Come back when some were imported.'}
        </p>
      </EmptyState>
    )
  if (adjudicate)
    return (
      <EmptyState
        title="Nothing is left to decide"
        next={<Link href={`/label/${id}/adjudicate`}>Back to the decisions</Link>}
      >
        <p>Every task on which people could disagree has a decision.</p>
      </EmptyState>
    )
  const own = progress?.own
  return (
    <EmptyState
      title={own && own.labelled > 0 ? 'All done' : 'Nothing is open for you'}
      next={
        <div className="done-next">
          {own && own.skipped > 0 && (
            <Button look="primary" onClick={() => back.mutate()}>
              Go back to {own.skipped === 1 ? 'the one' : `the ${own.skipped}`} you skipped
            </Button>
          )}
          {own && own.labelled > 0 && <Button onClick={onUndo}>Undo the last one</Button>}
          {person.role !== 'annotate' && (
            <Link className="button" href={`/label/${id}/task?adjudicate=1`}>
              Decide where people disagree
            </Link>
          )}
          <Link className="button" href={`/label/${id}`}>
            {person.role === 'own' ? 'See agreement, export or train' : `Back to ${project.name}`}
          </Link>
          {back.isError && <ErrorNote error={back.error} />}
        </div>
      }
    >
      {own && (
        <p>
          You labelled {own.labelled} {own.labelled === 1 ? 'task' : 'tasks'}
          {own.seconds !== null && `, in ${duration(own.seconds)} each`}. Everyone together finished {progress.finished}{' '}
          of {progress.tasks}.
        </p>
      )}
    </EmptyState>
  )
}
