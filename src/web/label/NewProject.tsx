/** Makes a project: from a file of rows, from a Label Studio template, or without rows yet. */
import { useState } from 'react'
import type { ImportReport, ImportRequest, NewProject, Project, ProjectSettings } from '../../studio/labels/api.ts'
import { newRequestId, post, request } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Field, Input, Select } from '../ui/Field.tsx'
import { useChange } from './data.ts'
import { type Chosen, FileChooser } from './FileChooser.tsx'
import { FirstRow, isTemplate, proposedMode, usePreview } from './FilePreview.tsx'
import { GenerateForm } from './GenerateForm.tsx'
import { ModeField } from './ModeField.tsx'
import { MoreSettings } from './SettingsFields.tsx'
import { defaults, importWords, nameFromFile, ranksMeanings } from './words.ts'
import './forms.css'

export type Made = { project: Project; report?: ImportReport }

/** @param onMade called when the project is there; `report` says what was taken from the file */
export const NewProjectForm = ({ onMade, lead }: { onMade(made: Made): void; lead?: string }) => {
  const [chosen, setChosen] = useState<Chosen>()
  const [without, setWithout] = useState(false)
  const [generating, setGenerating] = useState(false)
  if (generating) return <GenerateForm onBack={() => setGenerating(false)} />
  if (!chosen && !without)
    return (
      <div className="stack">
        {lead && <p className="soft">{lead}</p>}
        <FileChooser onChoose={setChosen} />
        <div className="other-ways">
          <Button look="quiet" onClick={() => setGenerating(true)}>
            Let a model write the answers
          </Button>
          <Button look="quiet" onClick={() => setWithout(true)}>
            Start without a file
          </Button>
        </div>
      </div>
    )
  const back = () => {
    setChosen(undefined)
    setWithout(false)
  }
  return <Details chosen={chosen} onBack={back} onMade={onMade} />
}

type DetailsProps = { chosen: Chosen | undefined; onBack(): void; onMade(made: Made): void }

const Details = ({ chosen, onBack, onMade }: DetailsProps) => {
  const preview = usePreview(chosen)
  const template = chosen !== undefined && isTemplate(chosen)
  const proposed = preview.data && proposedMode(preview.data)
  const [name, setName] = useState(chosen ? nameFromFile(chosen.name) : '')
  const [changed, setChanged] = useState<Partial<ProjectSettings>>({})
  const [ranksAre, setRanksAre] = useState<NonNullable<ImportRequest['ranksAre']>>('nothing')
  const settings = { ...defaults, ...(proposed && { mode: proposed.mode }), ...changed }
  const change = (more: Partial<ProjectSettings>) => setChanged((before) => ({ ...before, ...more }))
  const make = useChange(
    async (): Promise<Made> => {
      const project = await post<Project>('/projects', {
        requestId: newRequestId(),
        name: name.trim(),
        // A template brings its own mode
        settings: template ? changed : settings,
      } satisfies NewProject)
      if (!chosen) return { project }
      const { name: _, ...source } = chosen
      try {
        const given: ImportRequest = { requestId: newRequestId(), ...source, ranksAre }
        return { project, report: await post<ImportReport>(`/projects/${project.id}/import`, given) }
      } catch (error) {
        // A project whose rows cannot be read would only be in the way
        await request('DELETE', `/projects/${project.id}`, { name: project.name })
        throw error
      }
    },
    {
      reads: [['projects'], ['files']],
      done: ({ project, report }) => (report ? `${project.name}: ${importWords(report)}` : `${project.name} was made`),
      after: onMade,
    },
  )
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault()
        make.mutate()
      }}
    >
      <p className="chosen">
        {chosen ? <strong dir="auto">{chosen.name}</strong> : 'No rows yet: they can be added later.'}
        <Button look="quiet" onClick={onBack}>
          {chosen ? 'Another file' : 'Choose a file'}
        </Button>
      </p>
      {chosen && !template && <FirstRow preview={preview} />}
      <Field label="Name of the project">
        <Input value={name} required maxLength={200} onChange={({ target }) => setName(target.value)} />
      </Field>
      {template ? (
        <p className="hint">
          The template says how people label, and how tasks look. Rows are added afterwards. What its style would fetch
          from elsewhere is left out.
        </p>
      ) : (
        <ModeField mode={settings.mode} proposed={proposed} onChange={(mode) => change({ mode })} />
      )}
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
      <details>
        <summary>More settings</summary>
        <MoreSettings settings={settings} onChange={change} />
      </details>
      <footer className="form-end">
        <Button look="primary" type="submit" disabled={make.isPending || preview.isError}>
          {chosen && !template ? 'Start labelling' : 'Make the project'}
        </Button>
      </footer>
    </form>
  )
}
