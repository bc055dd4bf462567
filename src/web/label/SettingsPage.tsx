/** The settings of a project, and its end. */
import { useState } from 'react'
import { useLocation } from 'wouter'
import type { Project, ProjectChange, ProjectSettings } from '../../studio/labels/api.ts'
import { newRequestId, request } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Card } from '../ui/Card.tsx'
import { ConfirmDialog } from '../ui/Dialog.tsx'
import { Field, Input } from '../ui/Field.tsx'
import { useChange, useProject, useProjectId } from './data.ts'
import { ProjectFrame } from './ProjectFrame.tsx'
import { SettingsFields } from './SettingsFields.tsx'
import './forms.css'

const SettingsPage = () => {
  const id = useProjectId()
  const project = useProject(id)
  return (
    <ProjectFrame id={id} title="Settings" needs="own">
      {project.data && <SettingsForm key={project.data.id} project={project.data} />}
    </ProjectFrame>
  )
}

export default SettingsPage

const SettingsForm = ({ project }: { project: Project }) => {
  const [name, setName] = useState(project.name)
  const [changed, setChanged] = useState<Partial<ProjectSettings>>({})
  const save = useChange(
    () =>
      request<Project>('PATCH', `/projects/${project.id}`, {
        requestId: newRequestId(),
        ...(name !== project.name && { name: name.trim() }),
        ...(Object.keys(changed).length > 0 && { settings: changed }),
      } satisfies ProjectChange),
    {
      reads: [['project', project.id], ['projects'], ['progress', project.id]],
      done: () => 'Settings saved',
      after: () => setChanged({}),
    },
  )
  const same = name === project.name && Object.keys(changed).length === 0
  return (
    <>
      <form
        className="stack settings-form"
        onSubmit={(event) => {
          event.preventDefault()
          save.mutate()
        }}
      >
        <Field label="Name">
          <Input value={name} required maxLength={200} onChange={({ target }) => setName(target.value)} />
        </Field>
        <SettingsFields
          settings={{ ...project.settings, ...changed }}
          onChange={(more) => setChanged((before) => ({ ...before, ...more }))}
        />
        <footer className="form-end">
          <Button look="primary" type="submit" disabled={same || save.isPending}>
            Save
          </Button>
        </footer>
      </form>
      <DeleteCard project={project} />
    </>
  )
}

const DeleteCard = ({ project: { id, name } }: { project: Project }) => {
  const [asking, setAsking] = useState(false)
  const [, navigate] = useLocation()
  const remove = useChange(() => request<void>('DELETE', `/projects/${id}`, { name }), {
    reads: [['projects']],
    done: () => `${name} was deleted`,
    after: () => navigate('/label', { replace: true }),
  })
  return (
    <Card title="Delete the project" className="delete-project">
      <p className="soft">Its tasks and all votes go with it. Export them first if they may be needed.</p>
      <p>
        <Button look="danger" onClick={() => setAsking(true)} disabled={remove.isPending}>
          Delete…
        </Button>
      </p>
      <ConfirmDialog
        open={asking}
        onOpenChange={setAsking}
        title={`Delete ${name}?`}
        action="Delete the project"
        spelled={name}
        onConfirm={() => remove.mutate()}
      >
        All its tasks and votes are gone afterwards, with their history.
      </ConfirmDialog>
    </Card>
  )
}
