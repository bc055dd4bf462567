/** Sends tasks and votes to a Label Studio server, and brings its tasks and votes back. */
import { useState } from 'react'
import type { ImportReport, PushReport, RemoteRequest } from '../../studio/labels/api.ts'
import { newRequestId, post } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Card } from '../ui/Card.tsx'
import { Dialog } from '../ui/Dialog.tsx'
import { Field, Input } from '../ui/Field.tsx'
import { useChange } from './data.ts'
import { importWords, many } from './words.ts'

export const LabelStudioCard = ({ id, name }: { id: number; name: string }) => {
  const [open, setOpen] = useState(false)
  return (
    <Card title="Label Studio">
      <p className="soft">Send the tasks to a Label Studio server, or fetch what people labelled there.</p>
      <p className="row">
        <Button onClick={() => setOpen(true)}>Send or fetch</Button>
        <a className="button quiet" href={`/api/projects/${id}/template`} download>
          Template (XML)
        </a>
      </p>
      <Dialog open={open} onOpenChange={setOpen} title="Label Studio" lead="The token is used once and stored nowhere.">
        <RemoteForm id={id} name={name} onDone={() => setOpen(false)} />
      </Dialog>
    </Card>
  )
}

const pushWords = ({ title, made, tasks, annotations, already }: PushReport) =>
  [
    `${many(tasks, 'task')} and ${many(annotations, 'vote')} sent to ${title}${made ? ', which was made' : ''}`,
    already > 0 && `${many(already, 'task')} were there already`,
  ]
    .filter(Boolean)
    .join('; ')

const RemoteForm = ({ id, name, onDone }: { id: number; name: string; onDone(): void }) => {
  const [server, setServer] = useState('http://127.0.0.1:8080')
  const [token, setToken] = useState('')
  const [project, setProject] = useState(name)
  const request = (): RemoteRequest => ({ requestId: newRequestId(), server, token, project })
  const push = useChange(() => post<PushReport>(`/projects/${id}/label-studio/push`, request()), {
    reads: [],
    done: pushWords,
    after: onDone,
  })
  const pull = useChange(() => post<ImportReport>(`/projects/${id}/label-studio/pull`, request()), {
    reads: [['progress', id], ['projects'], ['tasks', id]],
    done: importWords,
    after: onDone,
  })
  const busy = push.isPending || pull.isPending
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault()
        const { submitter } = event.nativeEvent as SubmitEvent
        if (submitter?.getAttribute('value') === 'push') push.mutate()
        else pull.mutate()
      }}
    >
      <Field label="Address of the server">
        <Input type="url" value={server} required dir="ltr" onChange={({ target }) => setServer(target.value)} />
      </Field>
      <Field label="Access token" hint="In Label Studio: Account & Settings.">
        <Input
          type="password"
          value={token}
          required
          autoComplete="off"
          dir="ltr"
          onChange={({ target }) => setToken(target.value)}
        />
      </Field>
      <Field label="Project there" hint="Its number or title. Sending makes it where it is not there.">
        <Input value={project} required onChange={({ target }) => setProject(target.value)} />
      </Field>
      <footer className="form-end">
        <Button type="submit" value="pull" disabled={busy}>
          Fetch labels
        </Button>
        <Button type="submit" value="push" look="primary" disabled={busy}>
          Send tasks
        </Button>
      </footer>
    </form>
  )
}
