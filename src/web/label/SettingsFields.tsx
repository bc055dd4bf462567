/** The fields of a project's settings, each explained in a line. */
import { Plus, X } from 'lucide-react'
import type { ProjectSettings, Scale } from '../../studio/labels/api.ts'
import { Button, IconButton } from '../ui/Button.tsx'
import { Checkbox, Field, Input, NumberInput, Select } from '../ui/Field.tsx'
import { KeyFields } from './KeyFields.tsx'
import { ModeField } from './ModeField.tsx'
import { orders, strengths } from './words.ts'
import './forms.css'

type Props = { settings: ProjectSettings; onChange(changed: Partial<ProjectSettings>): void }

export const SettingsFields = ({ settings, onChange }: Props) => (
  <>
    <ModeField mode={settings.mode} onChange={(mode) => onChange({ mode })} />
    <MoreSettings settings={settings} onChange={onChange} />
  </>
)

/** Everything but the mode. */
export const MoreSettings = ({ settings, onChange }: Props) => (
  <div className="settings">
    <OfMode settings={settings} onChange={onChange} />
    <fieldset className="group">
      <legend>What people may do besides</legend>
      <Checkbox
        label="Write a better answer"
        hint="It ranks before all others, and becomes the chosen answer in training."
        checked={settings.edits}
        onChange={(edits) => onChange({ edits })}
      />
      <Checkbox
        label="Mark parts of an answer"
        hint="As good or bad, with a note: shows a reward model which part the vote is about."
        checked={settings.spans}
        onChange={(spans) => onChange({ spans })}
      />
      <Checkbox
        label="Say that all are bad"
        hint="Such tasks make no pair; good-or-bad exports count every response as bad."
        checked={settings.bothBad}
        onChange={(bothBad) => onChange({ bothBad })}
      />
    </fieldset>
    <fieldset className="group">
      <legend>Who labels what</legend>
      <div className="field-row">
        <Whole
          label="People per task"
          hint="Two or more show how far people agree."
          value={settings.overlap}
          min={1}
          max={100}
          onChange={(overlap) => onChange({ overlap })}
        />
        <Whole
          label="Shown twice, percent"
          hint="Tasks that come back later, to see how far one agrees with oneself."
          value={Math.round(settings.repeats * 100)}
          min={0}
          max={50}
          onChange={(percent) => onChange({ repeats: percent / 100 })}
        />
        <Whole
          label="A known answer every"
          hint="Every so many tasks one whose answer is known is asked. 0: never."
          value={settings.goldEvery}
          min={0}
          max={1000}
          onChange={(goldEvery) => onChange({ goldEvery })}
        />
      </div>
      <div className="field-row">
        <Field label="Order of tasks" hint="Informative: where reward models disagree or differ little comes first.">
          <Select
            value={settings.order}
            options={Object.entries(orders).map(([value, name]) => ({ value: value as keyof typeof orders, name }))}
            onChange={(order) => onChange({ order })}
          />
        </Field>
        <Whole
          label="Seed"
          hint="Responses are shuffled from it; the same seed gives the same order."
          value={settings.seed}
          min={0}
          max={2 ** 31 - 1}
          onChange={(seed) => onChange({ seed })}
        />
      </div>
      <Checkbox
        label="Blind"
        hint="Hides which model wrote which response from those who label."
        checked={settings.blind}
        onChange={(blind) => onChange({ blind })}
      />
    </fieldset>
    <KeyFields keys={settings.keys} onChange={(keys) => onChange({ keys })} />
  </div>
)

/** What only one mode has. */
const OfMode = ({ settings, onChange }: Props) => {
  if (settings.mode === 'pair')
    return (
      <Field label="Strength of a preference" hint="How many steps there are on each side of “equal”.">
        <Select
          value={String(settings.strengths)}
          options={Object.entries(strengths).map(([value, name]) => ({ value, name }))}
          onChange={(value) => onChange({ strengths: Number(value) })}
        />
      </Field>
    )
  if (settings.mode === 'rate') return <Scales scales={settings.scales} onChange={(scales) => onChange({ scales })} />
  return null
}

const Scales = ({ scales, onChange }: { scales: Scale[]; onChange(scales: Scale[]): void }) => {
  const change = (at: number, changed: Partial<Scale>) =>
    onChange(scales.map((scale, i) => (i === at ? { ...scale, ...changed } : scale)))
  return (
    <fieldset className="group">
      <legend>Scales</legend>
      <p className="hint">Each response gets a number on each scale. The ends may have words: 1 poor, 5 excellent.</p>
      {scales.map((scale, i) => (
        <div key={i} className="scale">
          <Field label="Name">
            <Input
              value={scale.name}
              required
              maxLength={60}
              onChange={({ target }) => change(i, { name: target.value })}
            />
          </Field>
          <Whole label="From" value={scale.min} min={-100} max={100} onChange={(min) => change(i, { min })} />
          <Whole label="To" value={scale.max} min={-100} max={100} onChange={(max) => change(i, { max })} />
          <Field label="Lowest means">
            <Input value={scale.low ?? ''} maxLength={60} onChange={({ target }) => change(i, { low: target.value })} />
          </Field>
          <Field label="Highest means">
            <Input
              value={scale.high ?? ''}
              maxLength={60}
              onChange={({ target }) => change(i, { high: target.value })}
            />
          </Field>
          <IconButton
            label={`Take the scale ${scale.name} away`}
            disabled={scales.length === 1}
            onClick={() => onChange(scales.filter((_, k) => k !== i))}
          >
            <X size={16} aria-hidden />
          </IconButton>
        </div>
      ))}
      <Button onClick={() => onChange([...scales, { name: `scale ${scales.length + 1}`, min: 1, max: 5 }])}>
        <Plus size={16} aria-hidden /> Add a scale
      </Button>
    </fieldset>
  )
}

type WholeProps = {
  label: string
  hint?: string
  value: number
  min: number
  max: number
  onChange(value: number): void
}

/** A whole number. An empty field keeps the last one. */
const Whole = ({ label, hint, value, min, max, onChange }: WholeProps) => (
  <Field label={label} hint={hint}>
    <NumberInput
      value={value}
      min={min}
      max={max}
      step={1}
      required
      inputMode="numeric"
      onChange={(next) => next !== null && onChange(next)}
    />
  </Field>
)
