/** Takes the labels out: in which form, every vote or what they say together; the first rows are shown before. */
import { useQuery } from '@tanstack/react-query'
import { Download } from 'lucide-react'
import { useState } from 'react'
import type { ApiError } from '../../studio/api.ts'
import type { ExportForm, Project } from '../../studio/labels/api.ts'
import { ApiFault } from '../api.ts'
import { Card } from '../ui/Card.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Field, Select } from '../ui/Field.tsx'
import { consensuses, exportForms } from './words.ts'
import './forms.css'

type Consensus = keyof typeof consensuses

/** Forms that always hold every vote. */
const allVotes: readonly ExportForm[] = ['votes', 'label-studio', 'argilla']

export const ExportCard = ({ project: { id } }: { project: Project }) => {
  const [form, setForm] = useState<ExportForm>('rows')
  const [votes, setVotes] = useState<Consensus | 'all'>('adjudicated')
  const query = new URLSearchParams({ form })
  if (!allVotes.includes(form))
    query.set(...((votes === 'all' ? ['votes', 'all'] : ['consensus', votes]) as [string, string]))
  const path = `/api/projects/${id}/export?${query}`
  return (
    <Card title="Export">
      <div className="field-row">
        <Field label="Form" hint={exportForms[form].about}>
          <Select
            value={form}
            options={Object.entries(exportForms).map(([value, { name }]) => ({ value: value as ExportForm, name }))}
            onChange={(next) => setForm(next)}
          />
        </Field>
        {!allVotes.includes(form) && (
          <Field
            label="Votes on one task"
            hint={votes === 'all' ? 'A row for each vote, with who voted.' : consensuses[votes].about}
          >
            <Select
              value={votes}
              options={[
                ...Object.entries(consensuses).map(([value, { name }]) => ({ value: value as Consensus, name })),
                { value: 'all' as const, name: 'Every vote' },
              ]}
              onChange={(next) => setVotes(next)}
            />
          </Field>
        )}
      </div>
      <FirstRows path={path} project={id} />
      <p>
        <a className="button" href={path} download>
          <Download size={16} aria-hidden /> Download
        </a>
      </p>
    </Card>
  )
}

const FirstRows = ({ path, project }: { path: string; project: number }) => {
  const rows = useQuery({
    // Begins as the queries do that a vote makes old
    queryKey: ['tasks', project, 'export', path],
    queryFn: ({ signal }) => readBeginning(path, signal),
    placeholderData: (before) => before,
    retry: false,
  })
  if (rows.isError) return <ErrorNote error={rows.error} />
  if (rows.data === undefined) return null
  if (rows.data === '') return <p className="soft">Nothing to export yet: no task has a vote that this form can say.</p>
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <section className="first-rows" aria-label="The first rows" tabIndex={0}>
      <pre>{rows.data}</pre>
    </section>
  )
}

/** The first lines of a file, without reading the rest of it. */
const readBeginning = async (path: string, signal: AbortSignal): Promise<string> => {
  const response = await fetch(path, { signal })
  if (!response.ok) {
    const body = (await response.json().catch(() => undefined)) as ApiError | undefined
    throw new ApiFault(response.status, body?.error?.message ?? `status ${response.status}`)
  }
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (text.length < 4000 && text.split('\n').length <= 4) {
    const { done, value } = await reader.read()
    if (done) break
    text += value
  }
  await reader.cancel()
  return text
    .trimEnd()
    .split('\n')
    .slice(0, 4)
    .map((line) => (line.length > 400 ? `${line.slice(0, 400)}…` : line))
    .join('\n')
}
