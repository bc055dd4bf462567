/** How the responses are looked at: as they are or compared with one of them, whole or folded. */
import { ChevronsDownUp, ChevronsUpDown } from 'lucide-react'
import { Button } from '../../ui/Button.tsx'
import { keepFocus } from './Controls.tsx'
import type { actions } from './keys.ts'
import { letterOf } from './value.ts'

type Props = {
  shown: readonly number[]
  base: number | undefined
  long: boolean
  unfolded: boolean
  label(action: keyof typeof actions): string
  onBase(base: number | undefined): void
  onUnfold(): void
}

export const CompareBar = ({ shown, base, long, unfolded, label, onBase, onUnfold }: Props) => {
  if (shown.length < 2 && !long) return null
  return (
    <div className="compare-bar">
      {shown.length > 1 && (
        <fieldset className="controls" aria-label="Show what differs from one response">
          <span className="soft">
            Show what differs from <kbd>{label('compare')}</kbd>
          </span>
          {shown.map((response) => (
            <button
              key={response}
              type="button"
              className="choice"
              onMouseDown={keepFocus}
              aria-pressed={base === response}
              aria-label={`Show what differs from ${letterOf(shown, response)}`}
              onClick={() => onBase(base === response ? undefined : response)}
            >
              {letterOf(shown, response)}
            </button>
          ))}
        </fieldset>
      )}
      {long && (
        <Button look="quiet" onMouseDown={keepFocus} onClick={onUnfold}>
          {unfolded ? <ChevronsDownUp size={16} aria-hidden /> : <ChevronsUpDown size={16} aria-hidden />}
          {unfolded ? 'Fold long texts' : 'Open long texts'} <kbd>{label('expand')}</kbd>
        </Button>
      )}
    </div>
  )
}
