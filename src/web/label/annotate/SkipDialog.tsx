/** Why a task is skipped; it stays open, and one comes back to it. */
import { useState } from 'react'
import { Button } from '../../ui/Button.tsx'
import { Dialog } from '../../ui/Dialog.tsx'
import { Field, Input } from '../../ui/Field.tsx'

const reasons = [
  'I do not know enough about it',
  'The prompt is unclear',
  'Too long for now',
  'Something is broken',
  'It should not be shown',
]

type Props = { open: boolean; onClose(): void; onSkip(reason: string): void }

export const SkipDialog = ({ open, onClose, onSkip }: Props) => (
  <Dialog
    open={open}
    onOpenChange={(next) => next || onClose()}
    title="Skip this task"
    lead="What you have done is kept, and you can come back to it. Press a number, or Enter for no reason."
  >
    <SkipForm onSkip={onSkip} />
  </Dialog>
)

const SkipForm = ({ onSkip }: Pick<Props, 'onSkip'>) => {
  const [other, setOther] = useState('')
  return (
    <form
      className="skip-form"
      onSubmit={(event) => {
        event.preventDefault()
        onSkip(other.trim())
      }}
      onKeyDown={(event) => {
        const reason = reasons[Number(event.key) - 1]
        if (event.target instanceof HTMLInputElement || !reason) return
        event.preventDefault()
        onSkip(reason)
      }}
    >
      {reasons.map((reason, i) => (
        <Button key={reason} className="reason" onClick={() => onSkip(reason)}>
          <kbd aria-hidden>{i + 1}</kbd> {reason}
        </Button>
      ))}
      <Field label="Another reason">
        <Input value={other} onChange={({ target }) => setOther(target.value)} maxLength={1000} />
      </Field>
      <footer>
        <Button type="submit" look="primary" autoFocus>
          Skip
        </Button>
      </footer>
    </form>
  )
}
