/** What the page has to say about votes that were sent: kept for later, refused, changed by somebody else, or a known answer. */
import { Check, CloudOff, TriangleAlert, X } from 'lucide-react'
import type { ProjectSettings } from '../../../studio/labels/api.ts'
import { useSession } from '../../session.ts'
import { Button, IconButton } from '../../ui/Button.tsx'
import type { Labelling, Refusal } from './useLabelling.ts'
import { summary } from './value.ts'

export const Notices = ({ labelling, settings }: { labelling: Labelling; settings: ProjectSettings }) => {
  const { waiting, refusals, gold, trouble } = labelling
  return (
    <div className="notices">
      {waiting > 0 && (
        <p className="banner warn" role="status">
          <CloudOff size={16} aria-hidden />
          <span>
            The studio does not answer. {waiting === 1 ? 'One vote is' : `${waiting} votes are`} kept in this browser
            and sent as soon as it does.
          </span>
          <Button onClick={labelling.retry}>Try now</Button>
        </p>
      )}
      {trouble && (
        <p className="banner warn" role="alert">
          <TriangleAlert size={16} aria-hidden />
          <span>{trouble}</span>
        </p>
      )}
      {gold && (
        <div className={`banner ${gold.right ? 'good' : 'warn'}`} role="status">
          {gold.right ? <Check size={16} aria-hidden /> : <TriangleAlert size={16} aria-hidden />}
          <span>
            The answer to the task before is known, and yours {gold.right ? 'is the same.' : 'differs from it.'}{' '}
            {gold.explanation}
          </span>
          <IconButton label="Close" onClick={labelling.closeGold}>
            <X size={16} aria-hidden />
          </IconButton>
        </div>
      )}
      {refusals.map((refusal) => (
        <RefusalNote key={refusal.sent.body.requestId} {...{ refusal, labelling, settings }} />
      ))}
    </div>
  )
}

type NoteProps = { refusal: Refusal; labelling: Labelling; settings: ProjectSettings }

const RefusalNote = ({ refusal, labelling, settings }: NoteProps) => {
  const { person } = useSession()
  const { sent, message, conflict } = refusal
  if (!conflict)
    return (
      <div className="banner bad" role="alert">
        <TriangleAlert size={16} aria-hidden />
        <span>
          Your {sent.kind === 'skip' ? 'skip' : 'vote'} was not stored: {message}
        </span>
        <Button onClick={() => labelling.reopen(refusal)}>Open the task again</Button>
        <Button look="quiet" onClick={() => labelling.drop(refusal)}>
          Drop it
        </Button>
      </div>
    )
  const { theirs } = conflict
  const who = theirs.annotator === person.name ? 'you, in another place' : theirs.annotator
  const shown = sent.kind === 'votes' ? sent.body.shown : theirs.shown
  const words = (said: string, note: string | undefined) => (
    <>
      <strong>{said}</strong>
      {note && <q dir="auto">{note}</q>}
    </>
  )
  return (
    <section className="conflict card" role="alert" aria-label="Two votes on one task">
      <h2>This task was changed while you worked on it</h2>
      <p className="soft">Both are kept in the history. Which one counts?</p>
      <div className="two">
        <div>
          <h3>
            Stored: {who}, {new Date(theirs.at).toLocaleTimeString([], { timeStyle: 'short' })}
          </h3>
          {theirs.kind === 'skip'
            ? words(`skipped${theirs.reason ? `: ${theirs.reason}` : ''}`, undefined)
            : words(summary(theirs.value, shown, settings), theirs.value.note)}
          {theirs.value?.edit && <pre>{theirs.value.edit.text}</pre>}
          <Button onClick={() => labelling.drop(refusal)}>Keep the stored one</Button>
        </div>
        <div>
          <h3>Yours, just now</h3>
          {sent.kind === 'skip'
            ? words(`skipped${sent.body.reason ? `: ${sent.body.reason}` : ''}`, undefined)
            : words(summary(sent.body.value, shown, settings), sent.body.value.note)}
          {sent.kind === 'votes' && sent.body.value.edit && <pre>{sent.body.value.edit.text}</pre>}
          <Button look="primary" onClick={() => labelling.keepMine(refusal)}>
            Keep mine
          </Button>
        </div>
      </div>
      <Button look="quiet" onClick={() => labelling.reopen(refusal)}>
        Open the task again with mine
      </Button>
    </section>
  )
}
