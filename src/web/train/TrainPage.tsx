/** Starting a training: the methods, or with ?method= the form of one; with ?project= on the labels of a project. */
import { useQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { Link, useSearch } from 'wouter'
import type { Consensus, LabelFiles, MethodBrief, Settings } from '../../studio/jobs/api.ts'
import type { Mode, Project } from '../../studio/labels/api.ts'
import { post } from '../api.ts'
import { Card } from '../ui/Card.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Field, Select } from '../ui/Field.tsx'
import { PageHead } from '../ui/PageHead.tsx'
import { plural } from '../ui/plural.ts'
import { Segmented } from '../ui/Tabs.tsx'
import { useMethodForm, useMethods, useProjectOf } from './data.ts'
import { JobTable } from './JobTable.tsx'
import { TrainForm } from './TrainForm.tsx'
import './train.css'

const TrainPage = () => {
  const query = new URLSearchParams(useSearch())
  const method = query.get('method')
  const project = Number(query.get('project')) || undefined
  if (project !== undefined) return <OnLabels project={project} method={method} model={query.get('model')} />
  return method === null ? <Methods /> : <OfMethod method={method} model={query.get('model')} />
}

export default TrainPage

const Methods = () => {
  const { data, error } = useMethods()
  if (error) return <ErrorNote error={error} page />
  const groups = [...new Set(data?.map(({ group }) => group))]
  return (
    <>
      <PageHead
        title="Train"
        lead="Choose how the model is to learn. The same can be typed as a command, which the form shows."
      />
      <div className="stack">
        {groups.map((group) => (
          <section key={group} className="stack" aria-label={group}>
            <h2>{group}</h2>
            <div className="cards">
              {data!
                .filter((one) => one.group === group)
                .map((one) => (
                  <MethodCard key={one.name} {...one} />
                ))}
            </div>
          </section>
        ))}
        <h2>Jobs</h2>
        <JobTable />
      </div>
    </>
  )
}

const MethodCard = ({ name, brief }: MethodBrief) => (
  <Link className="card method" href={`/train?method=${name}`}>
    <h3>{name}</h3>
    <p className="soft">{brief}</p>
  </Link>
)

const startOf = (model: string | null): Settings => (model === null ? {} : { model })

const crumbs = [{ name: 'Train', href: '/train' }]

const OfMethod = ({ method, model }: { method: string; model: string | null }) => {
  const { data: form, error } = useMethodForm(method)
  if (error) return <ErrorNote error={error} page />
  if (!form) return null
  return (
    <>
      <PageHead title={`Train: ${form.name}`} crumbs={crumbs} lead={form.summary} />
      <TrainForm key={form.name} form={form} start={startOf(model)} />
    </>
  )
}

const methodsFor = (mode: Mode): string[] => (mode === 'good' ? ['kto'] : ['dpo', 'reward', 'sft'])

const OnLabels = ({ project, method, model }: { project: number; method: string | null; model: string | null }) => {
  const { data, error } = useProjectOf(project)
  if (error) return <ErrorNote error={error} page />
  return data ? <LabelForm project={data} given={method} model={model} /> : null
}

const what: Readonly<Record<string, string>> = {
  dpo: 'DPO: the model itself',
  reward: 'A reward model',
  sft: 'SFT on the best answers',
  kto: 'KTO: the model itself',
}

const LabelForm = ({ project, given, model }: { project: Project; given: string | null; model: string | null }) => {
  const offered = methodsFor(project.settings.mode)
  const [method, setMethod] = useState(given !== null && offered.includes(given) ? given : offered[0])
  const [consensus, setConsensus] = useState<Consensus>('adjudicated')
  const [heldOut, setHeldOut] = useState('0.2')
  const { data: form } = useMethodForm(method)
  const request = { project: project.id, method, consensus, heldOut: Number(heldOut) }
  const files = useQuery({
    queryKey: ['training-labels', request],
    queryFn: () => post<LabelFiles>('/training-labels', { ...request, write: false }),
    staleTime: 0,
    retry: false,
  })
  const start = useMemo(() => startOf(model), [model])
  return (
    <>
      <PageHead
        title={`Train on ${project.name}`}
        crumbs={[
          { name: project.name, href: `/label/${project.id}` },
          { name: 'Label, train, re-test', href: `/train/loop/${project.id}` },
        ]}
        lead={form?.summary}
      />
      <div className="stack">
        <Card title="The labels">
          {offered.length > 1 && (
            <Segmented
              label="What to train"
              choices={offered.map((name) => ({ value: name, name: what[name] }))}
              value={method}
              onChange={setMethod}
            />
          )}
          <div className="form">
            <div className="pair">
              <Field label="Where people differ" hint="Of tasks with one vote, that vote.">
                <Select
                  value={consensus}
                  onChange={setConsensus}
                  options={[
                    { value: 'adjudicated', name: 'the adjudicator decides, else the majority' },
                    { value: 'majority', name: 'the majority' },
                    { value: 'bradley-terry', name: 'Bradley-Terry strengths' },
                  ]}
                />
              </Field>
              <Field label="Held out" hint="Prompts that are not trained on: the result is measured on them.">
                <Select
                  value={heldOut}
                  onChange={setHeldOut}
                  options={['0', '0.1', '0.2', '0.3', '0.5'].map((share) => ({
                    value: share,
                    name:
                      share === '0' ? 'none: the run cannot be re-tested' : `${Number(share) * 100} % of the prompts`,
                  }))}
                />
              </Field>
            </div>
          </div>
          <div aria-live="polite">{files.data && <FilesNote {...files.data} />}</div>
        </Card>
        {files.isError && (
          <EmptyState
            title="There is nothing to train on yet"
            next={
              <Link className="button primary" href={`/label/${project.id}/task`}>
                Label some tasks
              </Link>
            }
          >
            <p>{(files.error as Error).message}</p>
          </EmptyState>
        )}
        {form && files.data && (
          <TrainForm
            key={method}
            form={form}
            start={start}
            project={project.id}
            labels={files.data}
            prepare={() => post('/training-labels', request)}
          />
        )}
      </div>
    </>
  )
}

const FilesNote = ({ rows, evalRows, prompts, undecided, data }: LabelFiles) => (
  <p>
    {plural(rows, 'row')} to train on and {evalRows} held out, of {plural(prompts, 'prompt')}
    {undecided > 0 && ` (${plural(undecided, 'task')} left out, where no response is better than another: ties)`}:{' '}
    <code>{data}</code>
  </p>
)
