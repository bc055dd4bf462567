/** The bar at the foot: the ranking so far, what can be done, and Submit; always in view. */
import { Ban, Check, Keyboard, KeyboardOff, MessageSquareText, PenLine, Send, SkipForward, Undo2 } from 'lucide-react'
import type { ReactNode } from 'react'
import type { Mode } from '../../../studio/labels/api.ts'
import { Button, IconButton } from '../../ui/Button.tsx'
import { keepFocus } from './Controls.tsx'
import type { actions } from './keys.ts'

type Props = {
  mode: Mode
  /** What is said of all responses together: the ranking so far, which of two is better. */
  children: ReactNode
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
  const { mode, hint, label } = props
  return (
    <section className="task-bar" aria-label="What you say of the task">
      {props.children}
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
        <IconButton
          label="Single keys such as S and 1, in this browser"
          className="single"
          aria-pressed={props.single}
          onMouseDown={keepFocus}
          onClick={() => props.onSingle(!props.single)}
        >
          {props.single ? <Keyboard size={16} aria-hidden /> : <KeyboardOff size={16} aria-hidden />}
        </IconButton>
        <Button look="primary" className="submit" onMouseDown={keepFocus} onClick={props.onSubmit}>
          <Send size={16} aria-hidden />
          {props.adjudicate ? 'Decide' : 'Submit'} <kbd>{label('submit')}</kbd>
        </Button>
      </div>
    </section>
  )
}

type ToolProps = { name: string; keys: string; icon: ReactNode; onClick(): void; pressed?: boolean }

/** Narrow screens show the icon alone. */
const Tool = ({ name, keys, icon, onClick, pressed }: ToolProps) => (
  <button
    type="button"
    className="button quiet tool"
    aria-pressed={pressed}
    title={name}
    onMouseDown={keepFocus}
    onClick={onClick}
  >
    {icon}
    <span className="tool-name">{name}</span>
    <kbd aria-hidden>{keys}</kbd>
  </button>
)
