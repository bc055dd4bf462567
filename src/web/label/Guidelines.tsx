/** The guidelines of a project: what annotators read, and where the owner writes it. */
import { useState } from 'react'
import type { Project, ProjectChange } from '../../studio/labels/api.ts'
import { newRequestId, request } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Card } from '../ui/Card.tsx'
import { Field, Textarea } from '../ui/Field.tsx'
import { Markdown } from '../ui/Markdown.tsx'
import { Tabs } from '../ui/Tabs.tsx'
import { useChange } from './data.ts'

export const Guidelines = ({ project, editable }: { project: Project; editable: boolean }) => {
  const [editing, setEditing] = useState(false)
  const { guidelines } = project
  if (editing) return <Editor project={project} onDone={() => setEditing(false)} />
  if (guidelines === '' && !editable) return null
  return (
    <Card
      title="Guidelines"
      actions={
        editable && <Button onClick={() => setEditing(true)}>{guidelines === '' ? 'Write guidelines' : 'Edit'}</Button>
      }
    >
      {guidelines === '' ? (
        <p className="soft">
          None yet. Say what makes an answer better, with an example of each: people agree more when they read the same
          words.
        </p>
      ) : (
        <Markdown text={guidelines} />
      )}
    </Card>
  )
}

const Editor = ({ project: { id, guidelines }, onDone }: { project: Project; onDone(): void }) => {
  const [text, setText] = useState(guidelines)
  const [tab, setTab] = useState('write')
  const save = useChange(
    () =>
      request<Project>('PATCH', `/projects/${id}`, {
        requestId: newRequestId(),
        guidelines: text,
      } satisfies ProjectChange),
    { reads: [['project', id]], done: () => 'Guidelines saved', after: onDone },
  )
  return (
    <Card
      title="Guidelines"
      actions={
        <>
          <Button look="quiet" onClick={onDone}>
            Cancel
          </Button>
          <Button look="primary" disabled={text === guidelines || save.isPending} onClick={() => save.mutate()}>
            Save
          </Button>
        </>
      }
    >
      <Tabs
        label="Guidelines"
        value={tab}
        onChange={setTab}
        tabs={[
          {
            value: 'write',
            name: 'Write',
            panel: (
              <Field label="Guidelines" hideLabel hint="Markdown, with formulas between dollar signs.">
                <Textarea rows={14} value={text} onChange={({ target }) => setText(target.value)} autoFocus />
              </Field>
            ),
          },
          { value: 'preview', name: 'Preview', panel: <Markdown text={text} /> },
        ]}
      />
    </Card>
  )
}
