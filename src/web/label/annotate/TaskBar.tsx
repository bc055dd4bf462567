/** The bar at the foot: the ranking so far, what can be done, and Submit; always in view. */
import { Ban, Check, Keyboard, MessageSquareText, PenLine, Send, SkipForward, Undo2 } from 'lucide-react'
import type { ComponentProps, ReactNode } from 'react'
import type { Mode } from '../../../studio/labels/api.ts'
import { Button } from '../../ui/Button.tsx'
import { keepFocus } from './Controls.tsx'
import type { actions } from './keys.ts'
import { Ladder } from './Ladder.tsx'

type Props = ComponentProps<typeof Ladder> & {
  mode: Mode
  several: boolean
  /** What is missing before it can be submitted, once somebody tried. */
  hint: string | undefined
  label(action: keyof typeof actions): string
  edits: boolean
  editing: boolean
  noting: boolean
  /** undefined: this project does not ask. */
  allBad: boolean | undefined
  acceptable: boolean
  adjudicate: boolean
  single: boolean
  onSubmit(): void
  onUndo(): void
  onSkip(): void
  onNote(): void
  onEdit(): void
  onAllBad(): void
  onAccept(): void
  onSingle(on: boolean): void
}

export const TaskBar = (props: Props) => {
  const { mode, hint, label, ranks, shown, order, active, onDrop, onUnrank, onGo } = props
  return (
    <section className="task-bar" aria-label="What you say of the task">
      {mode === 'rank' && props.several && <Ladder {...{ ranks, shown, order, active, onDrop, onUnrank, onGo }} />}
      <p className="task-hint" role="alert">
        {hint}
      </p>
      <div className="tools">
        <Tool name="Undo" keys={label('undo')} icon={<Undo2 size={16} aria-hidden />} onClick={props.onUndo} />
        <Tool
          name={props.adjudicate ? 'Later' : 'Skip'}
          keys={label('skip')}
          icon={<SkipForward size={16} aria-hidden />}
          onClick={props.onSkip}
        />
        <Tool
          name="Note"
          keys={label('note')}
          icon={<MessageSquareText size={16} aria-hidden />}
          onClick={props.onNote}
          pressed={props.noting}
        />
        {props.edits && (
          <Tool
            name={mode === 'edit' ? 'Write' : 'Better answer'}
            keys={label('better')}
            icon={<PenLine size={16} aria-hidden />}
            onClick={props.onEdit}
            pressed={props.editing}
          />
        )}
        {props.allBad !== undefined && (
          <Tool
            name={props.several ? 'All are bad' : 'It is bad'}
            keys={label('allBad')}
            icon={<Ban size={16} aria-hidden />}
            onClick={props.onAllBad}
            pressed={props.allBad}
          />
        )}
        {props.acceptable && (
          <Tool
            name="Accept as it is"
            keys={label('accept')}
            icon={<Check size={16} aria-hidden />}
            onClick={props.onAccept}
          />
        )}
        <Tool
          name={props.single ? 'Keys on' : 'Keys off'}
          title="Single keys such as S and 1: on or off in this browser"
          keys=""
          icon={<Keyboard size={16} aria-hidden />}
          onClick={() => props.onSingle(!props.single)}
          pressed={props.single}
        />
        <Button look="primary" className="submit" onMouseDown={keepFocus} onClick={props.onSubmit}>
          <Send size={16} aria-hidden />
          {props.adjudicate ? 'Decide' : 'Submit'} <kbd>{label('submit')}</kbd>
        </Button>
      </div>
    </section>
  )
}

type ToolProps = { name: string; title?: string; keys: string; icon: ReactNode; onClick(): void; pressed?: boolean }

/** Narrow screens show the icon alone. */
const Tool = ({ name, title, keys, icon, onClick, pressed }: ToolProps) => (
  <button
    type="button"
    className="button quiet tool"
    aria-pressed={pressed}
    aria-label={name}
    title={title ?? name}
    onMouseDown={keepFocus}
    onClick={onClick}
  >
    {icon}
    <span className="tool-name">{name}</span>
    {keys && <kbd aria-hidden>{keys}</kbd>}
  </button>
)
