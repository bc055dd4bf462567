/** What the model wrote to the same prompts as the run went on: a slider goes through the steps. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { RunSamples, SampleRow } from '../../studio/runs/api.ts'
import { get } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Badge } from '../ui/Card.tsx'
import { Diff } from '../ui/Diff.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Checkbox, Field, Input } from '../ui/Field.tsx'
import { number } from '../ui/format.ts'
import { runApi } from './address.ts'
import { TokenDialog } from './TokenDialog.tsx'
import '../ui/prose.css'

const mostShown = 20

export const SamplesTab = ({ name }: { name: string }) => {
  const samples = useQuery({
    queryKey: ['run-samples', name],
    queryFn: () => get<RunSamples>(runApi(name, '/samples')),
  })
  if (samples.isError) return <ErrorNote error={samples.error} />
  if (!samples.data) return null
  if (samples.data.prompts.length === 0)
    return (
      <EmptyState title="No samples">
        <p>
          {samples.data.none
            ? `There are none: ${samples.data.none}.`
            : 'A run of a model with a tokenizer writes to a few prompts before its first step and at its end; methods that learn from rewards also on the way (--sample-every).'}
        </p>
      </EmptyState>
    )
  return <Samples name={name} samples={samples.data} />
}

const Samples = ({ name, samples: { steps, prompts } }: { name: string; samples: RunSamples }) => {
  const [place, setPlace] = useState<number>()
  const [search, setSearch] = useState('')
  const [compared, setCompared] = useState(false)
  const [looked, setLooked] = useState<{ prompt: string; completion: string }>()
  // The slider stays at the end while the run goes on, until it is moved
  const at = Math.min(place ?? steps.length - 1, steps.length - 1)
  const step = steps[at]
  const found = prompts.filter(({ prompt }) => prompt.toLowerCase().includes(search.toLowerCase()))
  return (
    <div className="stack">
      <div className="sample-tools">
        <label className="slider">
          <span>
            Step <b>{number(step)}</b>
          </span>
          <input
            type="range"
            min={0}
            max={steps.length - 1}
            value={at}
            aria-valuetext={`step ${step}`}
            onChange={({ target }) => setPlace(Number(target.value))}
          />
          <span className="ends soft">
            <span>{number(steps[0])}</span>
            <span>{number(steps.at(-1)!)}</span>
          </span>
        </label>
        <Field label="Search prompts" hideLabel>
          <Input
            type="search"
            placeholder="Search prompts"
            value={search}
            onChange={({ target }) => setSearch(target.value)}
          />
        </Field>
        <Checkbox label="Mark what changed since the first step" checked={compared} onChange={setCompared} />
      </div>
      {found.length === 0 && <p className="soft">No prompt has these words.</p>}
      {found.slice(0, mostShown).map(({ prompt, rows }) => (
        <article key={prompt} className="card sample">
          <div className="prose plain soft" dir="auto">
            {prompt}
          </div>
          {rowsAt(rows, step).map((row, i) => (
            <div key={i} className="said">
              <div className="row">
                <Badge tone={row.step === step ? 'accent' : 'plain'}>step {number(row.step)}</Badge>
                {row.reward !== undefined && <span className="soft">reward {number(row.reward)}</span>}
                {row.completion && (
                  <Button look="quiet" onClick={() => setLooked({ prompt, completion: row.completion })}>
                    By token
                  </Button>
                )}
              </div>
              {compared && row.step !== rows[0].step ? (
                <Diff before={rows[0].completion} after={row.completion} />
              ) : (
                <div className="prose plain" dir="auto">
                  {row.completion || <span className="soft">nothing</span>}
                </div>
              )}
            </div>
          ))}
        </article>
      ))}
      {found.length > mostShown && (
        <p className="soft">
          The first {mostShown} of {found.length} prompts; search for another.
        </p>
      )}
      <TokenDialog name={name} sample={looked} onClose={() => setLooked(undefined)} />
    </div>
  )
}

/** What was written to a prompt at a step, or last before it; else first after it. */
const rowsAt = (rows: readonly SampleRow[], step: number): SampleRow[] => {
  const steps = rows.map((row) => row.step)
  const before = steps.filter((each) => each <= step)
  const chosen = before.length ? Math.max(...before) : Math.min(...steps)
  return rows.filter((row) => row.step === chosen)
}
