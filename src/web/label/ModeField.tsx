/** The choice of a mode: how people say what they think of the responses. */
import type { Mode } from '../../studio/labels/api.ts'
import { modeNames, modes } from './words.ts'
import './forms.css'

type Props = {
  mode: Mode
  /** What the rows suggest, and why. */
  proposed?: { mode: Mode; because: string }
  onChange(mode: Mode): void
}

export const ModeField = ({ mode, proposed, onChange }: Props) => (
  <fieldset className="group modes">
    <legend>How people label</legend>
    {modeNames.map((name) => (
      <label key={name} className="mode">
        <input type="radio" name="mode" value={name} checked={mode === name} onChange={() => onChange(name)} />
        <span>
          <strong>{modes[name].name}</strong>
          <span className="hint">{modes[name].about}</span>
          {proposed?.mode === name && <span className="because">{proposed.because}</span>}
        </span>
      </label>
    ))}
  </fieldset>
)
