/** Adds rows to a project, or sets it up from a Label Studio template. */
import { useState } from 'react'
import type { ImportReport, ImportRequest } from '../../studio/labels/api.ts'
import { newRequestId, post } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Card } from '../ui/Card.tsx'
import { Dialog } from '../ui/Dialog.tsx'
import { Field, Input, Select } from '../ui/Field.tsx'
import { useChange } from './data.ts'
import { type Chosen, FileChooser } from './FileChooser.tsx'
import { FirstRow, isTemplate, usePreview } from './FilePreview.tsx'
import { importWords, ranksMeanings } from './words.ts'
import './forms.css'

/** @param first the project has no rows yet */
export const ImportCard = ({ id, first = false }: { id: number; first?: boolean }) => {
  const [open, setOpen] = useState(false)
  return (
    <Card title={first ? 'Add the rows to label' : 'Add more'}>
      <p className="soft">
        Rows that are there already are not added twice. A Label Studio template (XML) changes how tasks look.
      </p>
      <p>
        <Button look={first ? 'primary' : 'plain'} onClick={() => setOpen(true)}>
          Add rows
        </Button>
      </p>
      <Dialog open={open} onOpenChange={setOpen} title="Add rows" size="wide">
        <ImportForm id={id} onDone={() => setOpen(false)} />
      </Dialog>
    </Card>
  )
}

const ImportForm = ({ id, onDone }: { id: number; onDone(): void }) => {
  const [chosen, setChosen] = useState<Chosen>()
  const [ranksAre, setRanksAre] = useState<NonNullable<ImportRequest['ranksAre']>>('nothing')
  const [columns, setColumns] = useState('')
  const preview = usePreview(chosen)
  const bring = useChange(
    ({ name: _, ...source }: Chosen) =>
      post<ImportReport>(`/projects/${id}/import`, {
        requestId: newRequestId(),
        ...source,
        ranksAre,
        ...(columns.trim() && { column: readColumns(columns) }),
      } satisfies ImportRequest),
    {
      reads: [['project', id], ['progress', id], ['projects'], ['tasks', id]],
      done: importWords,
      after: onDone,
    },
  )
  if (!chosen) return <FileChooser onChoose={setChosen} />
  const template = isTemplate(chosen)
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault()
        bring.mutate(chosen)
      }}
    >
      <p className="chosen">
        <strong dir="auto">{chosen.name}</strong>
        <Button look="quiet" onClick={() => setChosen(undefined)}>
          Another file
        </Button>
      </p>
      {template ? (
        <p className="hint">The template sets how people label, and how tasks look. Votes that are there stay.</p>
      ) : (
        <>
          {columns === '' && <FirstRow preview={preview} />}
          {preview.data?.ranks && (
            <Field label="The ranks in the file are" hint={ranksMeanings[ranksAre].about}>
              <Select
                value={ranksAre}
                options={Object.entries(ranksMeanings).map(([value, { name }]) => ({
                  value: value as keyof typeof ranksMeanings,
                  name,
                }))}
                onChange={(next) => setRanksAre(next)}
              />
            </Field>
          )}
          <Field
            label="Columns with other names"
            hint="Only if the file calls them differently: prompt=question, responses=answers"
          >
            <Input
              value={columns}
              pattern="\s*[^=,]+=[^=,]+(,[^=,]+=[^=,]+)*\s*"
              title="NAME=COLUMN, NAME=COLUMN"
              onChange={({ target }) => setColumns(target.value)}
            />
          </Field>
        </>
      )}
      <footer className="form-end">
        <Button look="primary" type="submit" disabled={bring.isPending}>
          {template ? 'Use the template' : 'Add the rows'}
        </Button>
      </footer>
    </form>
  )
}

/** prompt=question, responses=answers */
const readColumns = (text: string): Record<string, string> =>
  Object.fromEntries(text.split(',').map((pair) => pair.split('=').map((side) => side.trim())))
