/** One setting of a method as a field of the form, by its kind. */
import { Plus, X } from 'lucide-react'
import type { FormField } from '../../studio/jobs/api.ts'
import { Button, IconButton } from '../ui/Button.tsx'
import { Checkbox, Field, Input, Select, Textarea } from '../ui/Field.tsx'
import { words } from './data.ts'

type Props = {
  field: FormField
  /** undefined: the default holds. */
  value: unknown
  problem?: string
  onChange(value: unknown): void
}

export const SettingField = ({ field, value, problem, onChange }: Props) => {
  const { key, kind, required, description, fallback } = field
  const label = (
    <>
      {words(key)} <code className="flag">{field.flag}</code>
    </>
  )
  if (kind === 'boolean')
    return (
      <div className="field">
        <Checkbox
          label={label}
          hint={description}
          checked={(value ?? fallback ?? false) as boolean}
          onChange={(checked) => onChange(checked === fallback ? undefined : checked)}
        />
        {problem && <p className="wrong">{problem}</p>}
      </div>
    )
  if (kind === 'list' && field.of === 'text' && !Array.isArray(fallback))
    return <ListField {...{ field, value, problem, onChange }} label={label} />
  return (
    <Field label={label} hint={hintOf(field, value !== undefined)} error={problem} required={required}>
      <Control {...{ field, value, onChange }} />
    </Field>
  )
}

/** An empty field shows its default itself. */
const hintOf = ({ description, fallback, kind }: FormField, isSet: boolean) => {
  const shown = kind === 'choice' || fallback === undefined || fallback === '' || !isSet ? undefined : String(fallback)
  return shown === undefined || Array.isArray(fallback) ? description : `${description} (default: ${shown})`
}

const listOf = (field: FormField): string | undefined =>
  field.value === 'MODEL'
    ? 'models'
    : field.value === 'FILE'
      ? 'files'
      : field.value === 'SPEC'
        ? 'reward-models'
        : field.value === 'REDIS'
          ? 'redis'
          : undefined

const Control = ({ field, value, onChange }: Omit<Props, 'problem'>) => {
  const { key, kind, fallback, choices } = field
  if (kind === 'choice')
    return (
      <Select
        value={(value as string) ?? ''}
        onChange={(chosen) => onChange(chosen || undefined)}
        options={[
          { value: '', name: fallback === undefined ? 'not set' : `default: ${fallback}` },
          ...choices.map((choice) => ({ value: choice, name: choice })),
        ]}
      />
    )
  if (kind === 'record')
    return (
      <Textarea
        rows={2}
        placeholder={`${field.value}, one a line`}
        value={((value as string[]) ?? []).join('\n')}
        onChange={({ target }) => onChange(target.value ? target.value.split('\n') : undefined)}
      />
    )
  return (
    <Input
      name={key}
      spellCheck={false}
      autoComplete="off"
      inputMode={field.of === 'number' && kind === 'number' ? 'decimal' : undefined}
      className={kind === 'number' ? 'number' : ''}
      placeholder={Array.isArray(fallback) ? fallback.join(',') : fallback === undefined ? '' : String(fallback)}
      list={listOf(field)}
      value={(value as string) ?? ''}
      onChange={({ target }) => onChange(target.value || undefined)}
    />
  )
}

/** Several texts below each other: files, rewards. */
const ListField = ({ field, value, problem, onChange, label }: Props & { label: React.ReactNode }) => {
  const values = (value as string[] | undefined)?.length ? (value as string[]) : ['']
  const put = (next: string[]) => onChange(next.some(Boolean) ? next : undefined)
  return (
    <fieldset className="field list">
      <legend>{label}</legend>
      {values.map((each, i) => (
        <div className="row" key={i}>
          <Input
            aria-label={`${words(field.key)} ${i + 1}`}
            aria-invalid={problem ? true : undefined}
            required={field.required}
            name={i === 0 ? field.key : undefined}
            spellCheck={false}
            autoComplete="off"
            list={listOf(field)}
            value={each}
            onChange={({ target }) => put(values.map((old, j) => (j === i ? target.value : old)))}
          />
          {values.length > 1 && (
            <IconButton label={`Remove ${each || 'this one'}`} onClick={() => put(values.filter((_, j) => j !== i))}>
              <X size={16} aria-hidden />
            </IconButton>
          )}
        </div>
      ))}
      <p className="hint">{field.description}</p>
      {problem && <p className="wrong">{problem}</p>}
      {values.at(-1) !== '' && (
        <Button look="quiet" className="another" onClick={() => onChange([...values, ''])}>
          <Plus size={16} aria-hidden /> Another
        </Button>
      )}
    </fieldset>
  )
}
