/** The jobs of the studio, the newest first. */
import { Link } from 'wouter'
import type { Job, JobState } from '../../studio/jobs/api.ts'
import { Badge, ProgressBar, type Tone } from '../ui/Card.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { ago } from '../ui/format.ts'
import { Table } from '../ui/Table.tsx'
import { useJobs } from './data.ts'

const tones: Readonly<Record<JobState, Tone>> = {
  waiting: 'plain',
  running: 'accent',
  stopping: 'warn',
  done: 'good',
  stopped: 'warn',
  failed: 'bad',
  ended: 'plain',
}

export const JobBadge = ({ state }: { state: JobState }) => <Badge tone={tones[state]}>{state}</Badge>

/** @param project only those of this project */
export const JobTable = ({ project }: { project?: number }) => {
  const { data, error } = useJobs()
  if (error) return <ErrorNote error={error} />
  const jobs = data?.filter((job) => project === undefined || job.project === project)
  if (!jobs?.length) return <p className="soft">Nothing was started from here yet.</p>
  return (
    <Table label="Jobs">
      <thead>
        <tr>
          <th scope="col">Job</th>
          <th scope="col">State</th>
          <th scope="col">Progress</th>
          <th scope="col">Run</th>
          <th scope="col">Asked for</th>
        </tr>
      </thead>
      <tbody>
        {jobs.map((job) => (
          <tr key={job.id}>
            <th scope="row">
              <Link href={`/train/jobs/${job.id}`}>{job.title}</Link>
            </th>
            <td>
              <JobBadge state={job.state} />
            </td>
            <td className="job-progress">
              <JobProgressBar {...job} />
            </td>
            <td>
              {job.run ? <Link href={`/runs/${encodeURIComponent(job.run)}`}>{job.run}</Link> : (job.output ?? '–')}
            </td>
            <td>{ago(job.created)}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  )
}

export const JobProgressBar = ({ progress, state }: Pick<Job, 'progress' | 'state'>) => {
  if (!progress) return state === 'running' ? <ProgressBar label="Progress: not known yet" /> : <>–</>
  const { done, total, what } = progress
  return (
    <>
      <ProgressBar label={`${what} ${done} of ${total}`} value={done} max={total} />
      <small className="soft">
        {what} {done} of {total}
      </small>
    </>
  )
}
