/** A project whose answers a model writes: some to each prompt of a file, as a job that goes on by itself. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useLocation } from 'wouter'
import type { Choices, Job, NewJob } from '../../studio/jobs/api.ts'
import type { Mode, NewProject, Project } from '../../studio/labels/api.ts'
import { get, newRequestId, post, request } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Checkbox, Field, Input, NumberInput } from '../ui/Field.tsx'
import { useChange } from './data.ts'
import { ModeField } from './ModeField.tsx'
import { defaults, many } from './words.ts'
import './forms.css'

export const GenerateForm = ({ onBack }: { onBack(): void }) => {
  const choices = useQuery({
    queryKey: ['training-choices'],
    queryFn: ({ signal }) => get<Choices>('/training-choices', { signal }),
  })
  const [, navigate] = useLocation()
  const [name, setName] = useState('')
  const [model, setModel] = useState('')
  const [data, setData] = useState('')
  const [samples, setSamples] = useState(4)
  const [chat, setChat] = useState(true)
  const [picked, setPicked] = useState<Mode>()
  const mode = picked ?? (samples === 1 ? 'good' : samples === 2 ? 'pair' : 'rank')
  const start = useChange(
    async () => {
      const project = await post<Project>('/projects', {
        requestId: newRequestId(),
        name: name.trim(),
        settings: { ...defaults, mode },
      } satisfies NewProject)
      try {
        const job: NewJob = { kind: 'generate', model, data, samples, project: project.id, sampling: { chat } }
        return { project, job: await post<Job>('/jobs', job) }
      } catch (error) {
        await request('DELETE', `/projects/${project.id}`, { name: project.name })
        throw error
      }
    },
    {
      reads: [['projects'], ['jobs']],
      done: ({ job }) => `Started: ${job.title}. The tasks appear in the project when it is done.`,
      after: ({ job }) => navigate(`/train/jobs/${job.id}`),
    },
  )
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault()
        start.mutate()
      }}
    >
      <p className="chosen">
        A model writes {many(samples, 'answer')} to each prompt of a file.
        <Button look="quiet" onClick={onBack}>
          Choose a file of answers instead
        </Button>
      </p>
      <Field label="Name of the project">
        <Input value={name} required maxLength={200} onChange={({ target }) => setName(target.value)} />
      </Field>
      <Field label="Model" hint="A folder below the studio’s, a run, or the name of one on the Hugging Face Hub.">
        <Input value={model} required list="label-models" onChange={({ target }) => setModel(target.value)} />
      </Field>
      <Field label="File of prompts" hint="Rows with a prompt; other columns are left out.">
        <Input value={data} required list="label-files" onChange={({ target }) => setData(target.value)} />
      </Field>
      <Options id="label-models" values={choices.data?.models} />
      <Options id="label-files" values={choices.data?.files} />
      <Field label="Answers to each prompt">
        <NumberInput
          value={samples}
          min={1}
          max={32}
          step={1}
          required
          onChange={(next) => next !== null && setSamples(next)}
        />
      </Field>
      <Checkbox label="The prompts are what a user says to a chat model" checked={chat} onChange={setChat} />
      <ModeField mode={mode} onChange={setPicked} />
      <footer className="form-end">
        <Button look="primary" type="submit" disabled={start.isPending}>
          Write the answers
        </Button>
      </footer>
    </form>
  )
}

const Options = ({ id, values = [] }: { id: string; values?: readonly string[] }) => (
  <datalist id={id}>
    {values.map((value) => (
      <option key={value} value={value} />
    ))}
  </datalist>
)
