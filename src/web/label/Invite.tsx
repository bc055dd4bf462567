/** Makes a link for a person who labels, and shows it once. */
import { UserPlus } from 'lucide-react'
import { useState } from 'react'
import type { AnnotatorInfo } from '../../studio/labels/api.ts'
import type { Role } from '../../studio/session.ts'
import { newRequestId, post } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { CopyButton } from '../ui/Card.tsx'
import { Dialog } from '../ui/Dialog.tsx'
import { Checkbox, Field, Input, Select } from '../ui/Field.tsx'
import { useChange, useProjects } from './data.ts'
import { roleWords } from './words.ts'
import './forms.css'

/** The owner is who started the studio: no link gives that role. */
const invited: readonly Role[] = ['annotate', 'adjudicate']

type Made = AnnotatorInfo & { link: string }

/** @param projects those that are chosen at first */
export const Invite = ({ projects }: { projects: readonly number[] }) => {
  const [open, setOpen] = useState(false)
  const [made, setMade] = useState<Made>()
  const change = (next: boolean) => {
    setOpen(next)
    if (next) setMade(undefined)
  }
  return (
    <>
      <Button onClick={() => change(true)}>
        <UserPlus size={16} aria-hidden /> Add a person
      </Button>
      <Dialog open={open} onOpenChange={change} title={made ? `The link of ${made.name}` : 'Add a person'}>
        {made ? (
          <TheLink made={made} onDone={() => change(false)} />
        ) : (
          <InviteForm projects={projects} onMade={setMade} />
        )}
      </Dialog>
    </>
  )
}

const TheLink = ({ made: { name, link }, onDone }: { made: Made; onDone(): void }) => {
  const address = new URL(link, window.location.href).href
  return (
    <div className="stack">
      <p>
        Send this to {name}. It is shown only now: the studio keeps no copy of it. Whoever has it labels as {name}.
      </p>
      <div className="link">
        <Field label="Link">
          <Input readOnly value={address} onFocus={({ target }) => target.select()} dir="ltr" />
        </Field>
        <CopyButton text={address} label="Copy the link" />
      </div>
      <footer className="form-end">
        <Button look="primary" onClick={onDone}>
          Done
        </Button>
      </footer>
    </div>
  )
}

const InviteForm = ({ projects, onMade }: { projects: readonly number[]; onMade(made: Made): void }) => {
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('annotate')
  const [chosen, setChosen] = useState<readonly number[]>(projects)
  const add = useChange(
    () => post<Made>('/annotators', { requestId: newRequestId(), name: name.trim(), role, projects: chosen }),
    { reads: [['annotators']], done: (made) => `${made.name} has a link`, after: onMade },
  )
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault()
        add.mutate()
      }}
    >
      <Field label="Name" hint="Votes stand under it.">
        <Input value={name} required maxLength={100} autoFocus onChange={({ target }) => setName(target.value)} />
      </Field>
      <Field label="Role" hint={roleWords[role].about}>
        <Select
          value={role}
          options={invited.map((value) => ({ value, name: roleWords[value].name }))}
          onChange={(next) => setRole(next)}
        />
      </Field>
      <ProjectChoices chosen={chosen} onChange={setChosen} />
      <footer className="form-end">
        <Button look="primary" type="submit" disabled={add.isPending}>
          Make the link
        </Button>
      </footer>
    </form>
  )
}

type ChoicesProps = { chosen: readonly number[]; onChange(chosen: readonly number[]): void }

export const ProjectChoices = ({ chosen, onChange }: ChoicesProps) => {
  const projects = useProjects()
  return (
    <fieldset className="group">
      <legend>Projects that are open to this person</legend>
      {projects.data?.map(({ id, name }) => (
        <Checkbox
          key={id}
          label={name}
          checked={chosen.includes(id)}
          onChange={(on) => onChange(on ? [...chosen, id] : chosen.filter((other) => other !== id))}
        />
      ))}
    </fieldset>
  )
}
