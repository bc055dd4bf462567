/** One response: its text, what is said of it, and its marks. */
import { ChevronsDownUp, ChevronsUpDown, GripVertical } from 'lucide-react'
import { memo, type ReactNode, useRef, useState } from 'react'
import type { Response, Span } from '../../../studio/labels/api.ts'
import { Badge } from '../../ui/Card.tsx'
import { Diff } from '../../ui/Diff.tsx'
import { Body } from './Body.tsx'
import { keepFocus } from './Controls.tsx'
import { type Drop, useDrag } from './drag.ts'
import { MarkList } from './Marks.tsx'
import { usePaintedMarks } from './marking.ts'
import { plainText } from './text.ts'

/** Longer texts are folded until they are opened. */
const foldAbove = 1600

type Props = {
  index: number
  letter: string
  response: Response
  /** What is said of it, for screen readers: rank 2. */
  state: string
  badge: ReactNode
  active: boolean
  /** rank: it can be dragged. */
  drag: boolean
  unfolded: boolean
  /** The text that it is compared with. */
  comparedWith: string | undefined
  spans: readonly Span[] | undefined
  scores: readonly { name: string; score: number | null }[]
  /** Of a template's style. */
  classes?: { item?: string; title?: string; body?: string }
  onActivate(response: number): void
  onUnfold(): void
  onDrop: Drop
  onSpan(span: Span, to: Span | undefined): void
  children: ReactNode
}

/** Not side by side with the others: the next one stands below. */
const isSideways = (card: HTMLElement | null): boolean => {
  const next = (card?.nextElementSibling ?? card?.previousElementSibling)?.getBoundingClientRect()
  const own = card?.getBoundingClientRect()
  return next !== undefined && own !== undefined && Math.abs(next.left - own.left) > own.width / 2
}

export const ResponseCard = memo((props: Props) => {
  const {
    index,
    letter,
    response,
    state,
    active,
    drag,
    unfolded,
    comparedWith,
    spans,
    classes = {},
    onActivate,
    onDrop,
  } = props
  const card = useRef<HTMLLIElement>(null)
  const handle = useRef<HTMLSpanElement>(null)
  const [body, setBody] = useState<HTMLDivElement | null>(null)
  const sideways = () => isSideways(card.current)
  const over = useDrag({ response: index, handle, target: card, sideways, onDrop, enabled: drag })
  const source = plainText(response.text)
  const own = spans?.filter((span) => span.response === index) ?? []
  usePaintedMarks(body, source, own, comparedWith === undefined)
  const long = source.length > foldAbove
  const folded = long && !unfolded
  return (
    <li
      ref={card}
      id={`response-${letter}`}
      className={`response ${active ? 'active' : ''} ${classes.item ?? ''}`}
      data-response={index}
      data-over={over}
      data-sideways={over && over !== 'held' ? sideways() : undefined}
      aria-label={`Response ${letter}${state && `, ${state}`}`}
      aria-current={active ? 'true' : undefined}
      tabIndex={active ? 0 : -1}
      onFocus={() => active || onActivate(index)}
    >
      <div className="response-head">
        <span
          ref={handle}
          className={`handle ${drag ? '' : 'still'}`}
          title={drag ? `Drag ${letter} to its place` : undefined}
        >
          {drag && <GripVertical size={16} aria-hidden />}
          <span className={`letter ${classes.title ?? ''}`}>{letter}</span>
        </span>
        {props.badge}
        {response.cutOff && (
          <Badge tone="warn">
            <span title="The limit of new tokens ended it">cut off</span>
          </Badge>
        )}
        {response.source && <Badge>{response.source}</Badge>}
        {props.scores.map(({ name, score }) => (
          <span key={name} className="soft score">
            {name} {score === null ? '–' : score.toFixed(2)}
          </span>
        ))}
      </div>
      {props.children}
      <div className={`response-text ${folded ? 'folded' : ''} ${classes.body ?? ''}`} dir="auto">
        {comparedWith !== undefined && <Diff before={comparedWith} after={source} />}
        {/* It stays while the differences are shown: rendering it again would take a while */}
        <div
          ref={setBody}
          className="markable"
          data-markable={spans ? index : undefined}
          hidden={comparedWith !== undefined}
        >
          <Body text={response.text} />
        </div>
      </div>
      {long && (
        <button
          type="button"
          className="button quiet unfold"
          onMouseDown={keepFocus}
          aria-expanded={!folded}
          onClick={props.onUnfold}
        >
          {folded ? <ChevronsUpDown size={16} aria-hidden /> : <ChevronsDownUp size={16} aria-hidden />}
          {folded ? 'Show all' : 'Fold'}
        </button>
      )}
      {own.length > 0 && <MarkList letter={letter} source={source} spans={own} onChange={props.onSpan} />}
    </li>
  )
})
