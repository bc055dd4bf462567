/** Everything that happened to a task, in a panel at the side: every vote, skip, undo and decision. */
import { Link } from 'wouter'
import type { TaskRow, TaskView, VoteRecord } from '../../studio/labels/api.ts'
import { useRefreshOn } from '../api.ts'
import { Badge } from '../ui/Card.tsx'
import { Dialog } from '../ui/Dialog.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { ago, duration, number } from '../ui/format.ts'
import { plainText } from './annotate/text.ts'
import { taskAddress, useHistory, useTask } from './data.ts'
import { valueWords } from './voteWords.ts'
import './tasks.css'

type Props = { row: TaskRow; project: number; onClose(): void }

export const TaskHistory = ({ row, project, onClose }: Props) => {
  useRefreshOn([`task/${row.id}`], 'history')
  const task = useTask(row.id)
  const history = useHistory(row.id)
  const error = task.error ?? history.error
  return (
    <Dialog
      open
      onOpenChange={(open) => open || onClose()}
      title={`Task ${number(row.position)}`}
      size="side"
      actions={
        <Link className="button primary" href={taskAddress(project, row.id)}>
          Open the task
        </Link>
      }
    >
      {error && <ErrorNote error={error} />}
      {task.data && history.data && <Story task={task.data} votes={history.data} />}
    </Dialog>
  )
}

const kinds: Record<VoteRecord['kind'], string> = {
  vote: 'voted',
  skip: 'skipped',
  undo: 'took back',
  adjudicate: 'decided',
}

const Story = ({ task, votes }: { task: TaskView; votes: readonly VoteRecord[] }) => (
  <div className="history">
    <p className="excerpt" dir="auto">
      {plainText(task.prompt)}
    </p>
    <ol className="responses">
      {task.responses.map(({ text, source, cutOff }, i) => (
        <li key={i}>
          <span className="excerpt" dir="auto">
            {plainText(text)}
          </span>
          <span className="soft">{[source, cutOff && 'cut off', scoresOf(task, i)].filter(Boolean).join(' · ')}</span>
        </li>
      ))}
    </ol>
    <h3>History</h3>
    {votes.length === 0 && <p className="soft">Nobody has voted on it yet.</p>}
    <ol className="votes">
      {votes.map((vote) => (
        <li key={vote.id}>
          <p>
            <strong dir="auto">{vote.annotator}</strong> {kinds[vote.kind]}{' '}
            {vote.repeat && <Badge tone="accent">second look</Badge>}
            {vote.refused && <Badge tone="warn">came too late, does not count</Badge>}
            <time dateTime={vote.at} className="soft">
              {ago(vote.at)}
            </time>
          </p>
          {(vote.kind === 'vote' || vote.kind === 'adjudicate') && (
            <ul>
              {valueWords(vote.value).map((line) => (
                <li key={line} dir="auto">
                  {line}
                </li>
              ))}
            </ul>
          )}
          {vote.reason && <p dir="auto">{vote.reason}</p>}
          <p className="soft">
            {duration(vote.seconds)}, shown in the order {vote.shown.map((i) => i + 1).join(', ')}
          </p>
        </li>
      ))}
    </ol>
  </div>
)

/** "reward 1.23" of each reward model, for one response. */
const scoresOf = ({ scores }: TaskView, response: number): string =>
  Object.entries(scores ?? {})
    .map(([name, values]) => `${name} ${number(values[response])}`)
    .join(' · ')
