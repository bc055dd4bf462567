/** Fields of forms: a label, the control, a hint and an error, tied together for screen readers. */
import {
  type ComponentProps,
  createContext,
  type InputHTMLAttributes,
  type ReactNode,
  useContext,
  useId,
  useState,
} from 'react'
import './fields.css'

type Wiring = { id?: string; 'aria-describedby'?: string; 'aria-invalid'?: true; required?: boolean }

const FieldContext = createContext<Wiring>({})

type FieldProps = {
  label: ReactNode
  hint?: ReactNode
  error?: ReactNode
  required?: boolean
  /** The label is there for screen readers only, as in a search box. */
  hideLabel?: boolean
  /** One Input, Textarea, Select or NumberInput. */
  children: ReactNode
}

export const Field = ({ label, hint, error, required, hideLabel = false, children }: FieldProps) => {
  const id = useId()
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ')
  return (
    <div className="field">
      <label htmlFor={id} className={hideLabel ? 'unseen' : undefined}>
        {label}
      </label>
      <FieldContext
        value={{
          id,
          ...(described && { 'aria-describedby': described }),
          ...(error && { 'aria-invalid': true }),
          ...(required && { required }),
        }}
      >
        {children}
      </FieldContext>
      {hint && (
        <p id={`${id}-hint`} className="hint">
          {hint}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} className="wrong">
          {error}
        </p>
      )}
    </div>
  )
}

export const Input = ({ className = '', ...rest }: ComponentProps<'input'>) => (
  <input className={`input ${className}`} dir="auto" {...useContext(FieldContext)} {...rest} />
)

export const Textarea = ({ className = '', ...rest }: ComponentProps<'textarea'>) => (
  <textarea className={`input ${className}`} rows={4} dir="auto" {...useContext(FieldContext)} {...rest} />
)

type SelectProps<T extends string> = Omit<ComponentProps<'select'>, 'value' | 'onChange'> & {
  value: T
  onChange(value: NoInfer<T>): void
  options: readonly { value: NoInfer<T>; name: string; disabled?: boolean }[]
}

/** The browser's own list: it works on phones and with every screen reader. */
export const Select = <T extends string>({ value, onChange, options, className = '', ...rest }: SelectProps<T>) => (
  <select
    className={`input select ${className}`}
    {...useContext(FieldContext)}
    {...rest}
    value={value}
    onChange={({ target }) => onChange(target.value as T)}
  >
    {options.map((option) => (
      <option key={option.value} value={option.value} disabled={option.disabled}>
        {option.name}
      </option>
    ))}
  </select>
)

type NumberProps = Omit<InputHTMLAttributes<HTMLInputElement>, 'value' | 'onChange' | 'type'> & {
  /** null: empty. */
  value: number | null
  onChange(value: number | null): void
}

/** What is being typed stays as it is typed, 1e- for example; `onChange` is called with each number it makes. */
export const NumberInput = ({ value, onChange, className = '', ...rest }: NumberProps) => {
  const [typed, setTyped] = useState<string>()
  return (
    <input
      type="number"
      step="any"
      inputMode="decimal"
      className={`input number ${className}`}
      {...useContext(FieldContext)}
      {...rest}
      value={typed ?? value ?? ''}
      onChange={({ target }) => {
        setTyped(target.value)
        if (target.value === '' && !target.validity.badInput) onChange(null)
        else if (Number.isFinite(target.valueAsNumber)) onChange(target.valueAsNumber)
      }}
      onBlur={(event) => {
        setTyped(undefined)
        rest.onBlur?.(event)
      }}
    />
  )
}

type CheckProps = Omit<ComponentProps<'input'>, 'type' | 'onChange'> & {
  label: ReactNode
  hint?: ReactNode
  checked: boolean
  onChange(checked: boolean): void
}

export const Checkbox = ({ label, hint, checked, onChange, ...rest }: CheckProps) => {
  const id = useId()
  return (
    <div className="check">
      <input
        {...rest}
        id={id}
        type="checkbox"
        checked={checked}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={({ target }) => onChange(target.checked)}
      />
      <label htmlFor={id}>{label}</label>
      {hint && (
        <p id={`${id}-hint`} className="hint">
          {hint}
        </p>
      )}
    </div>
  )
}

/** For what takes effect at once. */
export const Switch = (props: CheckProps) => <Checkbox role="switch" {...props} />
