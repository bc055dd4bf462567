/** A note on the task, for whoever reads the votes. */
import type { RefObject } from 'react'
import { Field, Textarea } from '../../ui/Field.tsx'

type Props = { field: RefObject<HTMLTextAreaElement | null>; note: string; onChange(note: string): void }

export const NoteField = ({ field, note, onChange }: Props) => (
  <section className="note card" aria-label="Note">
    <Field label="Note" hint="Kept with your vote. Esc goes back to the responses.">
      <Textarea
        ref={field}
        rows={2}
        value={note}
        onChange={({ target }) => onChange(target.value)}
        maxLength={20_000}
      />
    </Field>
  </section>
)
