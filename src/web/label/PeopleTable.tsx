/** A table of annotators: what they may do and did, the projects open to them, and the end of a link. */
import { useState } from 'react'
import type { AnnotatorInfo, ProjectSummary } from '../../studio/labels/api.ts'
import { newRequestId, request } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { ConfirmDialog, Dialog } from '../ui/Dialog.tsx'
import { ago, number } from '../ui/format.ts'
import { Table } from '../ui/Table.tsx'
import { useChange } from './data.ts'
import { ProjectChoices } from './Invite.tsx'
import { roleWords } from './words.ts'
import './forms.css'

type Props = {
  people: readonly AnnotatorInfo[]
  /** All projects, where those that are open to each are shown and changed. */
  projects?: readonly ProjectSummary[]
}

export const PeopleTable = ({ people, projects }: Props) => (
  <Table label="People">
    <thead>
      <tr>
        <th scope="col">Name</th>
        <th scope="col">Role</th>
        {projects && <th scope="col">Projects</th>}
        <th scope="col" className="number">
          Votes
        </th>
        <th scope="col">Last seen</th>
        <th scope="col">
          <span className="unseen">What can be done</span>
        </th>
      </tr>
    </thead>
    <tbody>
      {people.map((person) => (
        <tr key={person.id}>
          <th scope="row" dir="auto">
            {person.name}
          </th>
          <td>{roleWords[person.role].name}</td>
          {projects && (
            <td>
              <Opened person={person} projects={projects} />
            </td>
          )}
          <td className="number">{number(person.votes)}</td>
          <td>{person.lastSeen === null ? 'never' : ago(person.lastSeen)}</td>
          <td>
            <Revoke person={person} />
          </td>
        </tr>
      ))}
    </tbody>
  </Table>
)

const Revoke = ({ person: { id, name } }: { person: AnnotatorInfo }) => {
  const [asking, setAsking] = useState(false)
  const revoke = useChange(() => request<void>('DELETE', `/annotators/${id}`), {
    reads: [['annotators']],
    done: () => `The link of ${name} is not valid any more`,
  })
  return (
    <>
      <Button look="danger" onClick={() => setAsking(true)} disabled={revoke.isPending}>
        Revoke <span className="unseen">the link of {name}</span>
      </Button>
      <ConfirmDialog
        open={asking}
        onOpenChange={setAsking}
        title={`Revoke the link of ${name}?`}
        action="Revoke the link"
        onConfirm={() => revoke.mutate()}
      >
        It stops working at once. The votes of {name} stay.
      </ConfirmDialog>
    </>
  )
}

/** The projects open to a person, and the dialog that changes them. */
const Opened = ({ person, projects }: { person: AnnotatorInfo; projects: readonly ProjectSummary[] }) => {
  const [open, setOpen] = useState(false)
  const names = projects.filter(({ id }) => person.projects.includes(id)).map(({ name }) => name)
  return (
    <span className="opened">
      <span dir="auto" title={names.join(', ')}>
        {names.length > 2 ? `${names[0]} and ${names.length - 1} more` : names.join(', ') || 'none'}
      </span>
      <Button look="quiet" onClick={() => setOpen(true)}>
        Change <span className="unseen">the projects of {person.name}</span>
      </Button>
      <Dialog open={open} onOpenChange={setOpen} title={`Projects open to ${person.name}`}>
        <OpenedForm person={person} onDone={() => setOpen(false)} />
      </Dialog>
    </span>
  )
}

const OpenedForm = ({ person, onDone }: { person: AnnotatorInfo; onDone(): void }) => {
  const [chosen, setChosen] = useState<readonly number[]>(person.projects)
  const save = useChange(
    () =>
      request<AnnotatorInfo>('PATCH', `/annotators/${person.id}`, {
        requestId: newRequestId(),
        projects: chosen,
      }),
    { reads: [['annotators']], done: () => `The projects of ${person.name} are changed`, after: onDone },
  )
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault()
        save.mutate()
      }}
    >
      <ProjectChoices chosen={chosen} onChange={setChosen} />
      <footer className="form-end">
        <Button look="primary" type="submit" disabled={save.isPending}>
          Save
        </Button>
      </footer>
    </form>
  )
}
