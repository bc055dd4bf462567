/** Dialogs: a window over the page, and a question before something that cannot be taken back. */
import { X } from 'lucide-react'
import { AlertDialog, Dialog as RadixDialog } from 'radix-ui'
import { type ReactNode, useState } from 'react'
import { Button, IconButton } from './Button.tsx'
import { Field, Input } from './Field.tsx'
import './overlays.css'

type DialogProps = {
  open: boolean
  onOpenChange(open: boolean): void
  title: string
  /** One sentence below the title. */
  lead?: ReactNode
  children?: ReactNode
  /** Buttons at the foot, the main one last. */
  actions?: ReactNode
  /** `wide` for tables and text, `side` for a panel at the right edge. */
  size?: 'normal' | 'wide' | 'side'
}

/** Escape and a click beside it close it; the focus returns to where it was. */
export const Dialog = ({ open, onOpenChange, title, lead, children, actions, size = 'normal' }: DialogProps) => (
  <RadixDialog.Root open={open} onOpenChange={onOpenChange}>
    <RadixDialog.Portal>
      <RadixDialog.Overlay className="backdrop" />
      <RadixDialog.Content className={`dialog ${size}`} {...(!lead && { 'aria-describedby': undefined })}>
        <header>
          <RadixDialog.Title>{title}</RadixDialog.Title>
          <RadixDialog.Close asChild>
            <IconButton label="Close">
              <X size={16} aria-hidden />
            </IconButton>
          </RadixDialog.Close>
        </header>
        {lead && <RadixDialog.Description className="soft">{lead}</RadixDialog.Description>}
        {children}
        {actions && <footer>{actions}</footer>}
      </RadixDialog.Content>
    </RadixDialog.Portal>
  </RadixDialog.Root>
)

type ConfirmProps = {
  open: boolean
  onOpenChange(open: boolean): void
  title: string
  /** What will happen, and what is kept. */
  children: ReactNode
  /** The button that does it: Delete the project. */
  action: string
  onConfirm(): void
  /** A name that has to be typed first. */
  spelled?: string
  danger?: boolean
}

export const ConfirmDialog = (props: ConfirmProps) => (
  <AlertDialog.Root open={props.open} onOpenChange={props.onOpenChange}>
    <AlertDialog.Portal>
      <AlertDialog.Overlay className="backdrop" />
      <AlertDialog.Content className="dialog">
        <ConfirmBody {...props} />
      </AlertDialog.Content>
    </AlertDialog.Portal>
  </AlertDialog.Root>
)

/** Mounted anew each time it opens, so that nothing typed earlier stays. */
const ConfirmBody = ({ onOpenChange, title, children, action, onConfirm, spelled, danger = true }: ConfirmProps) => {
  const [typed, setTyped] = useState('')
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault()
        onOpenChange(false)
        onConfirm()
      }}
    >
      <AlertDialog.Title>{title}</AlertDialog.Title>
      <AlertDialog.Description asChild>
        <div className="soft">{children}</div>
      </AlertDialog.Description>
      {spelled !== undefined && (
        <Field label={`Type ${spelled} to go on`}>
          <Input value={typed} onChange={({ target }) => setTyped(target.value)} autoComplete="off" />
        </Field>
      )}
      <footer>
        <AlertDialog.Cancel asChild>
          <Button>Cancel</Button>
        </AlertDialog.Cancel>
        <Button
          type="submit"
          look={danger ? 'danger' : 'primary'}
          disabled={spelled !== undefined && typed !== spelled}
        >
          {action}
        </Button>
      </footer>
    </form>
  )
}
