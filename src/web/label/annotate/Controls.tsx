/** What is said of responses, by mode: buttons that show their keys. All work by click, touch and keyboard alike. */
import { ArrowDown, ArrowUp, Check, ThumbsDown, ThumbsUp, X } from 'lucide-react'
import type { MouseEvent, ReactNode } from 'react'
import type { Scale } from '../../../studio/labels/api.ts'
import { IconButton } from '../../ui/Button.tsx'
import { preferenceWords } from './value.ts'

/** `label` is its name where its content says too little. */
type ChoiceProps = { pressed: boolean; onPress(): void; label?: string; children: ReactNode; className?: string }

/** A click leaves the focus where it was, so that Enter submits; Tab goes to the buttons all the same. */
export const keepFocus = (event: MouseEvent) => event.preventDefault()

/** A button that is on or off. */
const Choice = ({ pressed, onPress, label, children, className = '' }: ChoiceProps) => (
  <button
    type="button"
    className={`choice ${className}`}
    aria-pressed={pressed}
    onMouseDown={keepFocus}
    aria-label={label}
    title={label}
    onClick={onPress}
  >
    {children}
  </button>
)

type RankProps = {
  letter: string
  rank: number | null
  count: number
  onRank(rank: number | null): void
  onMove(by: -1 | 1): void
}

export const RankControls = ({ letter, rank, count, onRank, onMove }: RankProps) => (
  <fieldset className="controls" aria-label={`Rank of ${letter}`}>
    {Array.from({ length: count }, (_, i) => i + 1).map((place) => (
      <Choice
        key={place}
        pressed={rank === place}
        label={`Rank ${letter} ${place}`}
        onPress={() => onRank(rank === place ? null : place)}
      >
        {place}
      </Choice>
    ))}
    <span className="moves">
      <IconButton onMouseDown={keepFocus} label={`Move ${letter} up`} onClick={() => onMove(-1)}>
        <ArrowUp size={16} aria-hidden />
      </IconButton>
      <IconButton onMouseDown={keepFocus} label={`Move ${letter} down`} onClick={() => onMove(1)}>
        <ArrowDown size={16} aria-hidden />
      </IconButton>
      <IconButton
        onMouseDown={keepFocus}
        label={`Take the rank of ${letter} away`}
        disabled={rank === null}
        onClick={() => onRank(null)}
      >
        <X size={16} aria-hidden />
      </IconButton>
    </span>
  </fieldset>
)

type PairProps = { strengths: number; step: number | undefined; onStep(step: number): void }

/** From A much better, over a tie, to B much better; number keys count from the left. */
export const PairControls = ({ strengths, step, onStep }: PairProps) => (
  <fieldset className="controls pair" aria-label="Which is better">
    {Array.from({ length: 2 * strengths + 1 }, (_, i) => i - strengths).map((side) => (
      <Choice
        key={side}
        pressed={step === side}
        onPress={() => onStep(side)}
        className={side < 0 ? 'left' : side > 0 ? 'right' : 'middle'}
      >
        <kbd>{side + strengths + 1}</kbd>
        <span className="long">{preferenceWords(side, strengths)}</span>
        <span className="short">
          {side === 0 ? 'Tie' : `${side < 0 ? 'A' : 'B'}${strengths > 1 ? ` ${Math.abs(side)}` : ''}`}
        </span>
      </Choice>
    ))}
  </fieldset>
)

type RateProps = {
  letter: string
  scales: readonly Scale[]
  ratings: Readonly<Record<string, number>>
  /** The scale that number keys act on, if it is one of this response. */
  active: number | undefined
  onRate(scale: Scale, rating: number | undefined): void
  onScale(scale: number): void
}

/** Scales with more steps than this are a slider. */
const mostButtons = 11

export const RateControls = ({ letter, scales, ratings, active, onRate, onScale }: RateProps) => (
  <div className="scales">
    {scales.map((scale, i) => {
      const { name, min, max, low, high } = scale
      const rating = ratings[name]
      return (
        <fieldset
          key={name}
          className={`scale ${active === i ? 'active' : ''}`}
          aria-label={`${name} of ${letter}`}
          onFocus={() => active !== i && onScale(i)}
        >
          <span className="scale-name">
            {name}
            {(low || high) && (
              <small>
                {min} {low || 'lowest'}, {max} {high || 'highest'}
              </small>
            )}
          </span>
          {max - min < mostButtons ? (
            <span className="controls">
              {Array.from({ length: max - min + 1 }, (_, step) => min + step).map((step) => (
                <Choice
                  key={step}
                  pressed={rating === step}
                  label={`${name} of ${letter}: ${step}`}
                  onPress={() => onRate(scale, rating === step ? undefined : step)}
                >
                  {step}
                </Choice>
              ))}
            </span>
          ) : (
            <span className="controls slider">
              <input
                type="range"
                aria-label={`${name} of ${letter}`}
                aria-valuetext={rating === undefined ? 'not rated yet' : String(rating)}
                min={min}
                max={max}
                value={rating ?? Math.round((min + max) / 2)}
                onChange={({ target }) => onRate(scale, Number(target.value))}
              />
              <output>{rating ?? 'not rated'}</output>
            </span>
          )}
        </fieldset>
      )
    })}
  </div>
)

export const BestControls = (props: { letter: string; number: number; best: boolean; onBest(): void }) => (
  <div className="controls">
    <Choice pressed={props.best} onPress={props.onBest} className="wide">
      {props.best ? <Check size={16} aria-hidden /> : props.number < 10 && <kbd>{props.number}</kbd>}
      <span>
        Best<span className="unseen">: {props.letter}</span>
      </span>
    </Choice>
  </div>
)

type GoodProps = { good: boolean | undefined; onGood(good: boolean): void; keys: { good: string; bad: string } }

export const GoodControls = ({ good, onGood, keys }: GoodProps) => (
  <fieldset className="controls" aria-label="Good or bad">
    <Choice pressed={good === true} onPress={() => onGood(true)} className="wide good">
      <ThumbsUp size={16} aria-hidden />
      <span>Good</span>
      <kbd>{keys.good}</kbd>
    </Choice>
    <Choice pressed={good === false} onPress={() => onGood(false)} className="wide bad">
      <ThumbsDown size={16} aria-hidden />
      <span>Bad</span>
      <kbd>{keys.bad}</kbd>
    </Choice>
  </fieldset>
)
