/** What models can do for a project: write answers as tasks, give rewards that order the tasks, judge pairs. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, type ReactNode, useState } from 'react'
import { useLocation } from 'wouter'
import type { Job, NewJob } from '../../studio/jobs/api.ts'
import { post } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Checkbox, Field, Input } from '../ui/Field.tsx'
import { useToast } from '../ui/Toasts.tsx'
import { Lists } from './TrainForm.tsx'

export const ModelTools = ({ project }: { project: number }) => (
  <div className="tools">
    <Answers project={project} />
    <OfModel
      project={project}
      kind="score"
      title="Score with a reward model"
      hint="A run of attune reward. With the scores of several, tasks on which they disagree come first, if the project's order is informative."
      action="Score the tasks"
    />
    <OfModel
      project={project}
      kind="judge"
      title="Judge pairs"
      hint="A model, or the address of an OpenAI-compatible server. Its verdicts are shown as a start."
      action="Judge the tasks"
    />
    <Lists />
  </div>
)

/** Starts a job, says so, and names its page. */
const useStart = () => {
  const client = useQueryClient()
  const toast = useToast()
  const [, go] = useLocation()
  return useMutation({
    mutationFn: (job: NewJob) => post<Job>('/jobs', job),
    onSuccess(job) {
      void client.invalidateQueries({ queryKey: ['jobs'] })
      toast({ text: `Started: ${job.title}`, action: { name: 'Watch', run: () => go(`/train/jobs/${job.id}`) } })
    },
  })
}

type ToolProps = {
  title: string
  action: string
  error: Error | null
  pending: boolean
  onSubmit(): void
  children: ReactNode
}

const Tool = ({ title, action, error, pending, onSubmit, children }: ToolProps) => (
  <form
    className="stack"
    onSubmit={(event: FormEvent) => {
      event.preventDefault()
      onSubmit()
    }}
  >
    <h3>{title}</h3>
    {children}
    {error && (
      <p className="wrong" role="alert">
        {error.message}
      </p>
    )}
    <p>
      <Button type="submit" disabled={pending}>
        {action}
      </Button>
    </p>
  </form>
)

const Answers = ({ project }: { project: number }) => {
  const start = useStart()
  const [model, setModel] = useState('')
  const [data, setData] = useState('')
  const [samples, setSamples] = useState('4')
  const [chat, setChat] = useState(true)
  const job: NewJob = {
    ...{ kind: 'generate', model, data, project, samples: Number(samples) },
    sampling: { chat },
  }
  return (
    <Tool
      title="Write answers"
      action="Write answers as tasks"
      error={start.error}
      pending={start.isPending}
      onSubmit={() => start.mutate(job)}
    >
      <Field label="Model" required>
        <Input list="models" value={model} onChange={({ target }) => setModel(target.value)} />
      </Field>
      <Field label="File of prompts" required>
        <Input list="files" value={data} onChange={({ target }) => setData(target.value)} />
      </Field>
      <Field label="Answers to each prompt">
        <Input inputMode="numeric" value={samples} onChange={({ target }) => setSamples(target.value)} />
      </Field>
      <Checkbox label="The prompts are a user's messages (chat)" checked={chat} onChange={setChat} />
    </Tool>
  )
}

type OfModelProps = { project: number; kind: 'score' | 'judge'; title: string; hint: string; action: string }

const OfModel = ({ project, kind, title, hint, action }: OfModelProps) => {
  const start = useStart()
  const [model, setModel] = useState('')
  return (
    <Tool
      {...{ title, action }}
      error={start.error}
      pending={start.isPending}
      onSubmit={() => start.mutate({ kind, model, project })}
    >
      <Field label="Model" hint={hint} required>
        <Input
          list={kind === 'score' ? 'reward-models' : 'models'}
          value={model}
          onChange={({ target }) => setModel(target.value)}
        />
      </Field>
    </Tool>
  )
}
