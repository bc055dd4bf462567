/** The form of a method, checked by the server while it is filled, and the card that starts the run. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Play, Timer } from 'lucide-react'
import { type FormEvent, useDeferredValue, useEffect, useRef, useState } from 'react'
import { useLocation } from 'wouter'
import type { Checked, Estimate, FormField, Job, LabelFiles, MethodForm, Settings } from '../../studio/jobs/api.ts'
import { post } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Card, CopyButton } from '../ui/Card.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Field, Input } from '../ui/Field.tsx'
import { useChoices, words } from './data.ts'
import { SettingField } from './SettingField.tsx'

/** `prepare` writes the files of the labels: before something reads them, not when the form opens. */
type Props = { form: MethodForm; start: Settings; project?: number; labels?: LabelFiles; prepare?(): Promise<unknown> }

export const TrainForm = ({ form, start, project, labels, prepare }: Props) => {
  const [settings, setSettings] = useState<Settings>(start)
  const [tried, setTried] = useState(false)
  const [search, setSearch] = useState('')
  const [, go] = useLocation()
  const client = useQueryClient()
  const ref = useRef<HTMLFormElement>(null)
  useEffect(() => {
    // Rows of labels take the place of what stood there
    if (labels) setSettings((before) => ({ ...before, ...filesOf(labels) }))
  }, [labels])
  const training = { method: form.name, settings }
  const check = useChecked(training)
  const ownFiles: Settings = labels ? filesOf(labels) : {}
  /** Written when they are read. */
  const isOwn = (key: string) =>
    ownFiles[key] !== undefined && JSON.stringify(ownFiles[key]) === JSON.stringify(settings[key])
  const known = (check.data?.problems ?? []).filter(({ key }) => !isOwn(key))
  const problems = new Map(known.map(({ key, message }) => [key, message]))
  /** What is only missing is said when somebody tries to start. */
  const problemOf = (key: string) => (tried || settings[key] !== undefined ? problems.get(key) : undefined)
  const begin = useMutation({
    mutationFn: () => post<Job>('/jobs', { kind: 'train', ...training, ...(project !== undefined && { project }) }),
    onSuccess(job) {
      void client.invalidateQueries({ queryKey: ['jobs'] })
      go(`/train/jobs/${job.id}?follow`)
    },
  })
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    await prepare?.()
    const { problems: found } = await post<Checked>('/jobs/check', training)
    setTried(true)
    if (!found.length) return begin.mutate()
    setSearch('')
    // Once it is drawn with its message
    setTimeout(() => focusOn(ref.current, found[0].key))
  }
  const put = (key: string) => (value: unknown) => setSettings((before) => ({ ...before, [key]: value }))
  const show = (field: FormField) => (
    <div key={field.key} className={field.kind === 'number' || field.kind === 'choice' ? 'small' : undefined}>
      <SettingField
        field={field}
        value={settings[field.key]}
        problem={problemOf(field.key)}
        onChange={put(field.key)}
      />
    </div>
  )
  return (
    <form className="train" ref={ref} onSubmit={submit} noValidate>
      <div className="stack">
        <Card title="What matters first">
          <div className="form">{form.fields.filter(({ first }) => first).map(show)}</div>
        </Card>
        <Card title="Everything else">
          <Field label="Search the settings">
            <Input type="search" value={search} onChange={({ target }) => setSearch(target.value)} />
          </Field>
          <Groups {...{ form, settings, search, show }} has={(key) => problemOf(key) !== undefined} />
        </Card>
      </div>
      <aside className="start-card">
        <Card title="Start">
          <CommandLine command={check.data?.command} onCopy={prepare} />
          {check.isError && <ErrorNote error={check.error} />}
          {tried && problems.size > 0 && (
            <p className="wrong" role="alert">
              {[...problems].map(([key, message]) => (
                <span key={key}>
                  {words(key)}: {message}
                </span>
              ))}
            </p>
          )}
          {begin.isError && <ErrorNote error={begin.error} />}
          <EstimateButton
            training={training}
            prepare={prepare}
            ready={check.data !== undefined && problems.size === 0}
          />
          <Button type="submit" look="primary" disabled={begin.isPending}>
            <Play size={16} aria-hidden /> Start the training
          </Button>
        </Card>
      </aside>
      <Lists />
    </form>
  )
}

const filesOf = ({ data, evalData }: LabelFiles): Settings => ({
  data: [data],
  evalData: evalData === undefined ? undefined : [evalData],
  evalSplit: undefined,
})

/** Asks the server once the typing rests. */
const useChecked = (training: { method: string; settings: Settings }) => {
  const text = JSON.stringify(training)
  const [asked, setAsked] = useState(text)
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text), 250)
    return () => clearTimeout(timer)
  }, [text])
  return useQuery({
    queryKey: ['check', asked],
    queryFn: () => post<Checked>('/jobs/check', JSON.parse(asked)),
    placeholderData: (before) => before,
    gcTime: 0,
    staleTime: 0,
  })
}

const focusOn = (form: HTMLFormElement | null, key: string) => {
  const control = form?.querySelector<HTMLElement>(`[name="${key}"], [aria-invalid]`)
  const closed = control?.closest('details:not([open])') as HTMLDetailsElement | null
  if (closed) closed.open = true
  control?.focus()
}

type GroupsProps = {
  form: MethodForm
  settings: Settings
  search: string
  show(field: FormField): React.ReactNode
  has(key: string): boolean
}

/** Fields by their headings, folded; a search opens what it finds. */
const Groups = ({ form, settings, search, show, has }: GroupsProps) => {
  const wanted = useDeferredValue(search.trim().toLowerCase())
  const rest = form.fields.filter(({ first }) => !first)
  const found = rest.filter(
    ({ key, flag, description }) =>
      !wanted || [words(key), key, flag, description].some((text) => text.toLowerCase().includes(wanted)),
  )
  const groups = [...new Set(found.map(({ group }) => group))]
  if (!groups.length) return <p className="soft">No setting is called so.</p>
  return groups.map((group) => {
    const fields = found.filter((field) => field.group === group)
    const changed = fields.filter(({ key }) => settings[key] !== undefined).length
    return (
      <Fold key={group} open={wanted !== '' || fields.some(({ key }) => has(key))}>
        <summary>
          {group} <span className="soft">{changed ? `${changed} of ${fields.length} changed` : fields.length}</span>
        </summary>
        <div className="form">{fields.map(show)}</div>
      </Fold>
    )
  })
}

/** A <details> that can also be opened from outside, and then stays as the person has it. */
const Fold = ({ open, children }: { open: boolean; children: React.ReactNode }) => {
  const [isOpen, setOpen] = useState(open)
  useEffect(() => {
    if (open) setOpen(true)
  }, [open])
  return (
    <details className="fold" open={isOpen} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      {children}
    </details>
  )
}

export const CommandLine = ({ command, onCopy }: { command?: string; onCopy?(): void }) => (
  <div className="command" onCopy={onCopy}>
    <code>{command ?? ' '}</code>
    {command && <CopyButton text={command} label="Copy the command" onCopy={onCopy} />}
  </div>
)

type EstimateProps = Pick<Props, 'prepare'> & { training: { method: string; settings: Settings }; ready: boolean }

const EstimateButton = ({ training, ready, prepare }: EstimateProps) => {
  const estimate = useMutation({
    mutationFn: async () => {
      await prepare?.()
      return post<Estimate>('/jobs/estimate', training)
    },
  })
  return (
    <div className="stack">
      <Button disabled={!ready || estimate.isPending} onClick={() => estimate.mutate()}>
        <Timer size={16} aria-hidden /> {estimate.isPending ? 'Making a few steps…' : 'Estimate time and memory'}
      </Button>
      <div aria-live="polite">
        {estimate.isError && <ErrorNote error={estimate.error} />}
        {estimate.data &&
          ('failed' in estimate.data ? (
            <p className="wrong">{estimate.data.failed}</p>
          ) : (
            <p>
              {estimate.data.time}, {estimate.data.memory} of memory
            </p>
          ))}
      </div>
    </div>
  )
}

/** What the browser proposes while one types. */
export const Lists = () => {
  const { data } = useChoices()
  return (
    <>
      <datalist id="models">
        {data?.models.map((model) => (
          <option key={model} value={model} />
        ))}
      </datalist>
      <datalist id="reward-models">
        {data?.rewardModels.map((model) => (
          <option key={model} value={model} />
        ))}
      </datalist>
      <datalist id="files">
        {data?.files.map((file) => (
          <option key={file} value={file} />
        ))}
      </datalist>
      <datalist id="redis">
        {data?.redis.map((address) => (
          <option key={address} value={address} />
        ))}
      </datalist>
    </>
  )
}
