/** Which keys do what on the labelling page of a project. */
import { type KeyboardEvent, useState } from 'react'
import { Button } from '../ui/Button.tsx'
import { Kbd } from '../ui/Card.tsx'
import { actions, keyLabel, keysOf } from './annotate/keys.ts'

type Props = { keys: Record<string, string>; onChange(keys: Record<string, string>): void }
type Action = keyof typeof actions

const names = Object.keys(actions) as Action[]

export const KeyFields = ({ keys, onChange }: Props) => {
  const reset = (action: Action) =>
    onChange(Object.fromEntries(Object.entries(keys).filter(([name]) => name !== action)))
  return (
    <details className="key-fields">
      <summary>Keys</summary>
      <p className="hint">
        Numbers always give ranks, choices and ratings. A key that you give to one action is taken from the others.
      </p>
      <ul>
        {names.map((action) => (
          <li key={action} className="key">
            <span>{actions[action].does}</span>
            <KeyButton
              label={actions[action].does}
              keys={keysOf(action, keys)}
              onPress={(key) => onChange({ ...keys, [action]: key })}
            />
            {action in keys && (
              <Button look="quiet" onClick={() => reset(action)}>
                Default <span className="unseen">of: {actions[action].does}</span>
              </Button>
            )}
          </li>
        ))}
      </ul>
    </details>
  )
}

const modifiers = ['Control', 'Alt', 'Shift', 'Meta']

/** Takes the next key that is pressed; Escape and Tab leave it as it was. */
const KeyButton = ({ label, keys, onPress }: { label: string; keys: string[]; onPress(key: string): void }) => {
  const [waiting, setWaiting] = useState(false)
  const onKeyDown = (event: KeyboardEvent) => {
    if (!waiting || modifiers.includes(event.key)) return
    setWaiting(false)
    if (event.key === 'Tab') return
    event.preventDefault()
    event.stopPropagation()
    if (event.key !== 'Escape') onPress(keyName(event))
  }
  return (
    <Button
      aria-label={waiting ? `Press a key for: ${label}` : `${label}: ${keys.map(keyLabel).join(' or ')}. Change`}
      onClick={() => setWaiting(true)}
      onKeyDown={onKeyDown}
      onBlur={() => setWaiting(false)}
    >
      {waiting ? 'Press a key…' : keys.map((key) => <Kbd key={key} keys={keyLabel(key)} />)}
    </Button>
  )
}

/** As keys.ts of the labelling page writes it. */
const keyName = ({ key, ctrlKey, metaKey, altKey, shiftKey }: KeyboardEvent): string =>
  [
    (ctrlKey || metaKey) && 'Ctrl',
    altKey && 'Alt',
    shiftKey && key.length > 1 && 'Shift',
    key.length === 1 ? key.toLowerCase() : key,
  ]
    .filter(Boolean)
    .join('+')
