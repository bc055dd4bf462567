/** Marks on parts of responses: the buttons beside a selection, and the list of marks of a response with their notes. */
import { ThumbsDown, ThumbsUp, X } from 'lucide-react'
import type { Span } from '../../../studio/labels/api.ts'
import { Button, IconButton } from '../../ui/Button.tsx'
import { Badge } from '../../ui/Card.tsx'

type BarProps = { left: number; top: number; keys: { good: string; bad: string }; onMark(mark: Span['mark']): void }

export const MarkBar = ({ left, top, keys, onMark }: BarProps) => (
  <div
    className="mark-bar"
    role="toolbar"
    aria-label="Mark the selected text"
    style={{ left: Math.max(8, Math.min(left, innerWidth - 200)), top: Math.min(top + 6, innerHeight - 48) }}
    // The selection stays
    onMouseDown={(event) => event.preventDefault()}
  >
    <Button look="quiet" onClick={() => onMark('good')}>
      <ThumbsUp size={16} aria-hidden /> Good <kbd>{keys.good}</kbd>
    </Button>
    <Button look="quiet" onClick={() => onMark('bad')}>
      <ThumbsDown size={16} aria-hidden /> Bad <kbd>{keys.bad}</kbd>
    </Button>
  </div>
)

type ListProps = {
  letter: string
  source: string
  spans: readonly Span[]
  onChange(span: Span, to: Span | undefined): void
}

const quote = (source: string, { start, end }: Span) => {
  const part = source.slice(start, end).replaceAll(/\s+/g, ' ')
  return part.length > 80 ? `${part.slice(0, 50)} … ${part.slice(-25)}` : part
}

export const MarkList = ({ letter, source, spans, onChange }: ListProps) => (
  <ul className="marks" aria-label={`Marks on ${letter}`}>
    {spans.map((span) => (
      <li key={`${span.start}-${span.end}`}>
        <Badge tone={span.mark}>{span.mark}</Badge>
        <q dir="auto">{quote(source, span)}</q>
        <input
          className="input"
          placeholder="Why?"
          aria-label={`Note on the mark “${quote(source, span)}”`}
          value={span.note ?? ''}
          onChange={({ target }) => onChange(span, { ...span, note: target.value || undefined })}
        />
        <IconButton label={`Remove the mark “${quote(source, span)}”`} onClick={() => onChange(span, undefined)}>
          <X size={16} aria-hidden />
        </IconButton>
      </li>
    ))}
  </ul>
)
