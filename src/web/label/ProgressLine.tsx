/** How far a project is: a bar and the counts in words. */
import type { Progress } from '../../studio/labels/api.ts'
import { ProgressBar } from '../ui/Card.tsx'
import { duration, number } from '../ui/format.ts'
import { many, progressWords } from './words.ts'

export const ProgressLine = ({ progress }: { progress: Progress }) => {
  const { tasks, finished, own } = progress
  return (
    <div className="progress-line">
      <ProgressBar label="Finished tasks" value={finished} max={tasks} />
      <p>
        <span>{progressWords(progress)}</span>
        {own.labelled + own.skipped > 0 && <span className="soft">{ownWords(own)}</span>}
      </p>
    </div>
  )
}

const ownWords = ({ labelled, skipped, open, seconds: mean, today }: Progress['own']) =>
  [
    `you: ${number(labelled)} labelled`,
    skipped > 0 && `${number(skipped)} skipped`,
    `${number(open)} open`,
    today > 0 && `${many(today, 'label')} today`,
    mean !== null && `${duration(mean)} each`,
  ]
    .filter(Boolean)
    .join(', ')
