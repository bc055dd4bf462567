/** Workers and what they work on, and the runs that give out shards; it moves as they do. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import type { LiveEvent } from '../../studio/api.ts'
import type { SharedRun, WorkerRow, WorkersState } from '../../studio/workers/api.ts'
import { get } from '../api.ts'
import { useSession } from '../session.ts'
import { Badge, Card } from '../ui/Card.tsx'
import { Commands } from '../ui/Commands.tsx'
import { duration, number } from '../ui/format.ts'
import { plural } from '../ui/plural.ts'
import './workers.css'

const queryKey = ['workers']

/** For a page that shows workers: how they stand, undefined without --workers; and what the page listens to for that. */
export const useWorkers = () => {
  const client = useQueryClient()
  const { workers, person } = useSession()
  const isShown = workers && person.role === 'own'
  const { data } = useQuery({ queryKey, queryFn: () => get<WorkersState>('/workers'), enabled: isShown })
  return {
    state: data,
    topics: isShown ? ['workers'] : [],
    /** @returns whether the event was of workers */
    take({ topic, data }: LiveEvent): boolean {
      if (topic !== 'workers') return false
      client.setQueryData<WorkersState>(queryKey, data as WorkersState)
      return true
    },
  }
}

export const WorkersPanel = ({ state }: { state: WorkersState }) => {
  const { address, workers, runs } = state
  return (
    <Card
      className="workers"
      title="Workers"
      actions={
        <span className="soft">
          at <bdi>{address}</bdi>
        </span>
      }
    >
      <Away state={state} />
      {workers.length ? (
        <ul className="worker-list" aria-label="Workers">
          {workers.map((worker) => (
            <Worker key={worker.id} worker={worker} />
          ))}
        </ul>
      ) : (
        <NoWorker address={address} />
      )}
      {runs.length > 0 && <SharedRuns runs={runs} />}
    </Card>
  )
}

/** Read out when it changes, but for the time. */
const Away = ({ state: { away } }: { state: WorkersState }) => (
  <div role="status">
    {away && (
      <p className="away">
        Redis does not answer (<bdi>{away.why}</bdi>). This is how it stood{' '}
        <span aria-hidden>{age(away.seconds)} ago</span>
        <span className="unseen">before</span>; the page goes on when it answers again.
      </p>
    )}
  </div>
)

const NoWorker = ({ address }: { address: string }) => (
  <>
    <p className="soft">No worker is there. Start one on each machine that is to help:</p>
    <Commands lines={[`attune worker ${address}`]} />
  </>
)

const Worker = ({ worker }: { worker: WorkerRow }) => {
  const { name, host, threads, processor, shard, trouble, done, failed, seen } = worker
  return (
    <li>
      <div>
        <b>
          <bdi>{name}</bdi>
        </b>{' '}
        <OtherVersion version={worker.version} />
        <small className="soft">
          <bdi>{host}</bdi>, {threads ? plural(threads, 'thread') : 'all threads'} of <bdi>{processor}</bdi>
        </small>
      </div>
      <div>
        {shard ? (
          <>
            <bdi>{shard.kind}</bdi> for {age(shard.seconds)}
            <small className="soft">
              <bdi>{shard.run}</bdi>
            </small>
          </>
        ) : trouble ? (
          <Badge tone="warn">rests</Badge>
        ) : (
          <span className="soft">waits for a shard</span>
        )}
        {trouble && (
          <small className="trouble">
            <bdi>{trouble}</bdi>
          </small>
        )}
      </div>
      <div>
        {plural(done, 'shard')} done
        {failed > 0 && <span className="trouble">, {number(failed)} failed</span>}
        <small className="soft">seen {age(seen)} ago</small>
      </div>
    </li>
  )
}

/** Runs and workers of different versions do not work together. */
const OtherVersion = ({ version }: { version: string }) =>
  version === useSession().version ? null : <Badge tone="warn">attune {version}</Badge>

const SharedRuns = ({ runs }: { runs: readonly SharedRun[] }) => (
  <>
    <h3>Runs that share their work out</h3>
    <ul className="shared-runs" aria-label="Runs that share their work out">
      {runs.map((run) => (
        <li key={run.id}>
          <b>
            <bdi>{run.name}</bdi>
          </b>{' '}
          <span className="soft">
            on <bdi>{run.host}</bdi> for {age(run.seconds)}
          </span>{' '}
          <span className="nowrap">
            {number(run.waiting)} waiting, {number(run.done)} done
          </span>{' '}
          <OtherVersion version={run.version} />
        </li>
      ))}
    </ul>
  </>
)

/** Who shares the work of one run. @param folder as the run is named where it was started: below the studio's folder */
export const WorkersOfRun = ({ state, folder }: { state: WorkersState; folder: string }) => {
  const run = state.runs.find(({ name, isHere }) => isHere && name === folder)
  if (!run || state.away) return null
  const names = state.workers.filter(({ shard }) => shard?.run === folder).map(({ name }) => name)
  return (
    <p className="soft">
      Shared out: {number(run.waiting)} waiting, {number(run.done)} done. At work:{' '}
      <bdi>{names.join(', ') || 'no worker now'}</bdi>
    </p>
  )
}

const age = (seconds: number) => (seconds < 10 ? `${seconds} s` : duration(seconds))
