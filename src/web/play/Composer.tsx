/** Where the user writes: Enter sends, Shift+Enter begins a new line, Escape stops. */
import { BookMarked, SendHorizontal, Square } from 'lucide-react'
import { type KeyboardEvent, type RefObject, useLayoutEffect } from 'react'
import { Button, IconButton } from '../ui/Button.tsx'
import { Field, Textarea } from '../ui/Field.tsx'
import type { Mode } from './conversation.ts'

type Props = {
  box: RefObject<HTMLTextAreaElement | null>
  mode: Mode
  text: string
  onText(text: string): void
  /** Why nothing can be sent now. */
  missing?: string
  running: boolean
  onSend(): void
  onStop(): void
  onPrompts(): void
}

export const Composer = ({ box, mode, text, onText, missing, running, onSend, onStop, onPrompts }: Props) => {
  // As high as its text, until it scrolls
  useLayoutEffect(() => {
    const area = box.current
    if (!area || area.value !== text) return
    area.style.height = 'auto'
    area.style.height = `${Math.min(area.scrollHeight + 2, window.innerHeight / 3)}px`
  }, [text, box])
  const onKeyDown = (event: KeyboardEvent) => {
    // An Enter that ends the input of a character, as in Japanese, sends nothing
    if (event.key !== 'Enter' || event.shiftKey || event.altKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    onSend()
  }
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault()
        onSend()
      }}
    >
      <Field label={mode === 'chat' ? 'Message' : 'Text to continue'} hideLabel>
        <Textarea
          ref={box}
          rows={1}
          value={text}
          placeholder={mode === 'chat' ? 'Say something' : 'Text that the models continue'}
          onChange={({ target }) => onText(target.value)}
          onKeyDown={onKeyDown}
          autoFocus
        />
      </Field>
      <div className="tools">
        <span className="soft">{missing ?? 'Enter sends, Shift+Enter begins a line'}</span>
        <IconButton label="Prompt library" onClick={onPrompts}>
          <BookMarked size={16} aria-hidden />
        </IconButton>
        {running ? (
          <Button onClick={onStop}>
            <Square size={16} aria-hidden /> Stop <kbd>Esc</kbd>
          </Button>
        ) : (
          <Button type="submit" look="primary" disabled={!text.trim() || missing !== undefined}>
            <SendHorizontal size={16} aria-hidden /> Send
          </Button>
        )}
      </div>
    </form>
  )
}
