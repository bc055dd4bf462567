/** Writing a better answer: the text, from which response it starts, and how it differs from it. */
import { Trash2 } from 'lucide-react'
import { type RefObject, useLayoutEffect, useState } from 'react'
import type { VoteValue } from '../../../studio/labels/api.ts'
import { Button } from '../../ui/Button.tsx'
import { Diff } from '../../ui/Diff.tsx'
import { Checkbox, Field, Select, Textarea } from '../../ui/Field.tsx'
import { letterOf } from './value.ts'

type Props = {
  field: RefObject<HTMLTextAreaElement | null>
  texts: readonly string[]
  shown: readonly number[]
  edit: VoteValue['edit']
  /** Where a new one starts. */
  from: number
  /** It cannot be closed: the project asks for it. */
  always: boolean
  onChange(edit: VoteValue['edit']): void
  onClose(): void
}

export const Editor = ({ field, texts, shown, edit, from: start, always, onChange, onClose }: Props) => {
  const [from, setFrom] = useState<number | null>(edit ? edit.from : start)
  const [withDiff, setWithDiff] = useState(true)
  useLayoutEffect(() => {
    // What is typed goes on after the text that it starts from
    const end = field.current?.value.length ?? 0
    field.current?.setSelectionRange(end, end)
  }, [field])
  const original = from === null ? '' : texts[from]
  const text = edit?.text ?? original
  const type = (typed: string) => onChange(typed === original || !typed.trim() ? undefined : { text: typed, from })
  const startFrom = (chosen: string) => {
    const other = chosen === 'nothing' ? null : Number(chosen)
    setFrom(other)
    if (edit) onChange({ ...edit, from: other })
  }
  return (
    <section className="editor card" aria-label="A better answer">
      <header>
        <h2>{always ? 'The better answer' : 'A better answer'}</h2>
        <p className="soft">It becomes the chosen answer.</p>
      </header>
      <Field label="Your answer" hideLabel>
        <Textarea ref={field} className="answer" value={text} onChange={({ target }) => type(target.value)} />
      </Field>
      <div className="editor-foot">
        {!always && (
          <Field label="Starts from">
            <Select
              value={from === null ? 'nothing' : String(from)}
              onChange={startFrom}
              options={[
                ...shown.map((response) => ({ value: String(response), name: letterOf(shown, response) })),
                { value: 'nothing', name: 'nothing' },
              ]}
            />
          </Field>
        )}
        <Checkbox label="Show what differs" checked={withDiff} onChange={setWithDiff} />
        {!always && (
          <Button
            look="quiet"
            onClick={() => {
              onChange(undefined)
              onClose()
            }}
          >
            <Trash2 size={16} aria-hidden /> Drop it
          </Button>
        )}
      </div>
      {withDiff && edit && from !== null && edit.text !== original && <Diff before={original} after={edit.text} />}
    </section>
  )
}
