/** Tasks on which people disagree, the most disputed first: an adjudicator decides each. */
import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { Badge } from '../ui/Card.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Table } from '../ui/Table.tsx'
import { readTasks, taskAddress, useLiveProject, useProjectId } from './data.ts'
import { ProjectFrame } from './ProjectFrame.tsx'
import { many, states } from './words.ts'
import './tasks.css'

const AdjudicatePage = () => {
  const id = useProjectId()
  return (
    <ProjectFrame id={id} title="Adjudicate">
      <Queue id={id} />
    </ProjectFrame>
  )
}

export default AdjudicatePage

/** Rows shown at once: those that are decided leave the queue. */
const shown = 100

const Queue = ({ id }: { id: number }) => {
  useLiveProject(id)
  const queue = useQuery({
    queryKey: ['adjudication', id],
    queryFn: ({ signal }) =>
      readTasks(`/projects/${id}/adjudication`, new URLSearchParams({ offset: '0', limit: String(shown) }), signal),
  })
  if (queue.isError) return <ErrorNote error={queue.error} />
  if (!queue.data) return null
  const { rows, total } = queue.data
  if (total === 0)
    return (
      <EmptyState title="Nothing to decide">
        <p>
          Tasks appear here when two people or more labelled them differently. Raise “people per task” for more of them.
        </p>
      </EmptyState>
    )
  return (
    <section className="stack" aria-label="Tasks to decide">
      <div className="section-head">
        <p>{many(total, 'task')} to decide. Your decision counts before all votes; the votes stay in the history.</p>
        <Link className="button primary" href={taskAddress(id, rows[0].id, true)}>
          Decide the first
        </Link>
      </div>
      <Table label="Tasks to decide, most disputed first">
        <thead>
          <tr>
            <th scope="col">Prompt</th>
            <th scope="col" className="number">
              Disagreement
            </th>
            <th scope="col">People</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id}>
              <td className="prompt">
                <Link href={taskAddress(id, row.id, true)} dir="auto">
                  {row.prompt}
                </Link>
              </td>
              <td className="number">{row.disagreement?.toFixed(2)}</td>
              <td className="clip" dir="auto">
                {row.annotators.join(', ')}
              </td>
              <td>
                <Badge tone={states[row.state].tone}>{states[row.state].name}</Badge>
              </td>
            </tr>
          ))}
        </tbody>
      </Table>
      {total > rows.length && <p className="soft">The first {rows.length} are shown.</p>}
    </section>
  )
}
