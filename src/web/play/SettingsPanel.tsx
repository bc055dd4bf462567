/** Beside the conversation: which models, how they sample, who scores. */
import { Dices, Plus, X } from 'lucide-react'
import { type ReactNode, useEffect, useState } from 'react'
import type { OpenModel, Sampling } from '../../studio/play/api.ts'
import { Button, IconButton } from '../ui/Button.tsx'
import { Badge } from '../ui/Card.tsx'
import { Field, NumberInput, Switch, Textarea } from '../ui/Field.tsx'
import { type Conversation, defaultSampling, shortName } from './conversation.ts'
import { maxLanes, type Settings } from './settings.ts'

export type Choosing = { lane: number } | { scorer: 'reward' | 'judge' }

type Props = {
  settings: Settings
  onChange(to: Partial<Settings>): void
  conversation: Conversation
  onConversation(to: Partial<Pick<Conversation, 'system' | 'blind'>>): void
  models: readonly OpenModel[]
  /** Opens the choice of a model. */
  onChoose(what: Choosing): void
  onClose(model: string): void
}

/** Below this width the settings are folded at the top. */
const wide = '(min-width: 64rem)'

export const SettingsPanel = (props: Props) => {
  const { settings, onChange, conversation, onConversation, onChoose } = props
  const [open, setOpen] = useState(() => window.matchMedia(wide).matches)
  useEffect(() => {
    const query = window.matchMedia(wide)
    const change = () => setOpen(query.matches)
    query.addEventListener('change', change)
    return () => query.removeEventListener('change', change)
  }, [])
  const { lanes, scorers } = settings
  return (
    <details className="settings card" open={open} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary className="fold">Models and sampling</summary>
      <div className="stack">
        <Part title="Models">
          <ul className="lanes">
            {lanes.map((model, lane) => (
              // A model may stand in two lanes
              <Lane key={lane} {...props} lane={lane} model={model} />
            ))}
          </ul>
          {lanes.length < maxLanes && (
            <Button onClick={() => onChoose({ lane: lanes.length })}>
              <Plus size={16} aria-hidden /> Add a model
            </Button>
          )}
          <Switch
            label="Blind"
            hint="Names are hidden and sides mixed until you choose"
            checked={conversation.blind}
            disabled={lanes.length < 2}
            onChange={(blind) => onConversation({ blind })}
          />
        </Part>
        {conversation.mode === 'chat' && (
          <Field label="System prompt">
            <Textarea
              rows={2}
              value={conversation.system}
              onChange={({ target }) => onConversation({ system: target.value })}
              placeholder="What the models are told first"
            />
          </Field>
        )}
        <SamplingFields sampling={settings.sampling} onChange={(sampling) => onChange({ sampling })} />
        <Part title="Scores">
          {(['reward', 'judge'] as const).map((kind) => (
            <div key={kind} className="lane">
              <span>{kind === 'reward' ? 'Reward model' : 'Judge'}</span>
              <span className="of">
                <Button look="quiet" onClick={() => onChoose({ scorer: kind })}>
                  <span className="path" dir="auto">
                    {shortName(scorers[kind]) || 'none'}
                  </span>
                </Button>
                {scorers[kind] && (
                  <IconButton
                    label={`No ${kind === 'reward' ? 'reward model' : 'judge'}`}
                    onClick={() => onChange({ scorers: { ...scorers, [kind]: '' } })}
                  >
                    <X size={16} aria-hidden />
                  </IconButton>
                )}
              </span>
            </div>
          ))}
        </Part>
      </div>
    </details>
  )
}

const Part = ({ title, children }: { title: string; children: ReactNode }) => (
  <section className="part">
    <h2>{title}</h2>
    {children}
  </section>
)

const states: Record<OpenModel['state'], { name: string; tone: 'plain' | 'good' | 'bad' | 'accent' }> = {
  loading: { name: 'loading', tone: 'accent' },
  ready: { name: 'ready', tone: 'good' },
  failed: { name: 'failed', tone: 'bad' },
  closed: { name: 'closed', tone: 'plain' },
}

const Lane = ({
  lane,
  model,
  settings,
  onChange,
  models,
  onChoose,
  onClose,
}: Props & { lane: number; model: string }) => {
  const open = models.find((other) => other.model === model)
  const remove = () => {
    const lanes = settings.lanes.filter((_, other) => other !== lane)
    onChange({ lanes: lanes.length ? lanes : [''] })
    if (model && !lanes.includes(model)) onClose(model)
  }
  return (
    <li className="lane">
      <span className="of">
        <Button
          look={model ? 'quiet' : 'primary'}
          onClick={() => onChoose({ lane })}
          aria-label={model ? `Model ${lane + 1}: ${shortName(model)}. Choose another` : undefined}
        >
          <span className="path" dir="auto" title={model}>
            {shortName(model) || 'Choose a model'}
          </span>
        </Button>
        {(model || settings.lanes.length > 1) && (
          <IconButton label={`Remove model ${lane + 1}`} onClick={remove}>
            <X size={16} aria-hidden />
          </IconButton>
        )}
      </span>
      {open && (
        <span className="state">
          <Badge tone={states[open.state].tone}>
            {states[open.state].name}
            {open.progress && open.progress.total > 0
              ? ` ${Math.floor((100 * open.progress.done) / open.progress.total)} %`
              : ''}
          </Badge>
          {open.chat === false && <Badge tone="warn">no chat template</Badge>}
        </span>
      )}
      {open?.state === 'failed' && <p className="wrong">{open.error}</p>}
    </li>
  )
}

type Range = { name: keyof Sampling; label: string; hint?: string; min: number; max?: number; step: number | 'any' }

const ranges: readonly Range[] = [
  { name: 'temperature', label: 'Temperature', min: 0, max: 10, step: 0.1 },
  { name: 'topP', label: 'Top-p', min: 0.01, max: 1, step: 0.01 },
  { name: 'topK', label: 'Top-k', hint: '0: all', min: 0, step: 1 },
  { name: 'minP', label: 'Min-p', min: 0, max: 1, step: 0.01 },
  { name: 'repetitionPenalty', label: 'Repetition penalty', hint: '1: none', min: 0.1, max: 10, step: 0.05 },
  { name: 'maxNewTokens', label: 'Max new tokens', min: 1, max: 100_000, step: 1 },
]

const isInside = ({ min, max = Number.POSITIVE_INFINITY, step }: Range, value: number) =>
  value >= min && value <= max && (step !== 1 || Number.isInteger(value))

const SamplingFields = ({ sampling, onChange }: { sampling: Sampling; onChange(sampling: Sampling): void }) => {
  const isDefault = ranges.every(({ name }) => sampling[name] === defaultSampling[name])
  return (
    <Part title="Sampling">
      <div className="numbers">
        {ranges.map((range) => (
          <Field key={range.name} label={range.label} hint={range.hint}>
            <NumberInput
              value={sampling[range.name]}
              min={range.min}
              max={range.max}
              step={range.step}
              onChange={(value) => {
                if (value !== null && isInside(range, value)) onChange({ ...sampling, [range.name]: value })
              }}
            />
          </Field>
        ))}
        <div className="seed">
          <Field label="Seed">
            <NumberInput
              value={sampling.seed}
              min={0}
              max={2 ** 31 - 1}
              step={1}
              onChange={(seed) => {
                if (seed !== null && Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31)
                  onChange({ ...sampling, seed })
              }}
            />
          </Field>
          <IconButton
            label="Another seed"
            onClick={() => onChange({ ...sampling, seed: Math.floor(Math.random() * 1_000_000) })}
          >
            <Dices size={16} aria-hidden />
          </IconButton>
        </div>
      </div>
      {!isDefault && (
        <Button look="quiet" onClick={() => onChange({ ...defaultSampling, seed: sampling.seed })}>
          Back to the defaults
        </Button>
      )}
    </Part>
  )
}
