/** One answer: who gives it, how far it is, its text, its scores, and what can be done with it. */
import { ArrowRight, RefreshCw, Square, ThumbsUp } from 'lucide-react'
import { memo, useEffect, useRef, useState } from 'react'
import type { OpenModel, Scorer } from '../../studio/play/api.ts'
import { Button, IconButton } from '../ui/Button.tsx'
import { Badge, CopyButton, ProgressBar } from '../ui/Card.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Markdown } from '../ui/Markdown.tsx'
import { type Answer, tokensPerSecond } from './conversation.ts'
import type { View } from './settings.ts'
import { Tokens } from './Tokens.tsx'

type Props = {
  answer: Answer
  /** Its letter, and the key that chooses it. */
  letter: string
  place: number
  /** Undefined while it is hidden. */
  name?: string
  view: View
  chosen: boolean
  choosable: boolean
  /** Only the last turn can be written anew. */
  changeable: boolean
  alone: boolean
  model?: OpenModel
  onBetter(): void
  onStop(): void
  onRegenerate(): void
  onGoOn(from?: { index: number; token: string }): void
}

export const AnswerView = (props: Props) => {
  const { answer, letter, name, view, chosen, alone } = props
  const { text, state, error } = answer
  const title = name ?? `Answer ${letter}`
  return (
    <section className={`answer${chosen ? ' chosen' : ''}`} aria-label={title} aria-busy={state !== 'done'}>
      <header>
        {!alone && <span className="letter">{letter}</span>}
        <h2 dir="auto" title={name}>
          {name ?? 'hidden until you choose'}
        </h2>
        {chosen && <Badge tone="good">better</Badge>}
      </header>
      <div className="said">
        {state === 'waiting' && text === '' && <Waiting model={props.model} hidden={name === undefined} />}
        {text !== '' && <AnswerText {...props} view={answer.tokens.length || view !== 'tokens' ? view : 'text'} />}
        {state === 'done' && text === '' && error === undefined && (
          <p className="soft">{answer.finish === 'stopped' ? 'Stopped before the first token.' : 'An empty answer.'}</p>
        )}
        {error !== undefined && <ErrorNote error={error} />}
      </div>
      <Foot {...props} />
    </section>
  )
}

const AnswerText = memo(
  ({ answer, view, changeable, onGoOn }: Pick<Props, 'answer' | 'view' | 'changeable' | 'onGoOn'>) => {
    const isDone = answer.state === 'done'
    const shown = useCalm(answer.text, isDone)
    if (view === 'tokens')
      return (
        <Tokens
          tokens={answer.tokens}
          text={answer.text}
          onChoose={isDone && changeable ? (index, token) => onGoOn({ index, token }) : undefined}
        />
      )
    if (view === 'markdown') return <Markdown text={shown} />
    return (
      <div className="prose plain" dir="auto">
        {answer.text}
      </div>
    )
  },
  (a, b) => a.answer === b.answer && a.view === b.view && a.changeable === b.changeable,
)

/** Milliseconds between two renderings of a text that grows: markdown is read from its beginning each time, so more for long ones. */
const calmFor = (length: number) => Math.max(120, length / 10)

const useCalm = (text: string, isDone: boolean): string => {
  const [shown, setShown] = useState(text)
  const newest = useRef(text)
  newest.current = text
  useEffect(() => {
    if (isDone) return
    const timer = setTimeout(() => setShown(newest.current), calmFor(shown.length))
    return () => clearTimeout(timer)
  }, [isDone, shown, text.length > shown.length])
  return isDone ? text : shown
}

/** A blind comparison does not tell which model is still loading. */
const Waiting = ({ model, hidden }: { model?: OpenModel; hidden: boolean }) => {
  if (hidden || model?.state !== 'loading') return <p className="soft">Waiting for the first token…</p>
  const { progress } = model
  const what = progress?.phase === 'download' ? 'Downloading the model' : 'Loading the model'
  return (
    <div className="loading">
      <p className="soft">
        {what}
        {progress && progress.total > 0 ? `, ${Math.floor((100 * progress.done) / progress.total)} %` : '…'}
      </p>
      <ProgressBar label={what} value={progress?.done} max={progress?.total} />
    </div>
  )
}

const Foot = (props: Props) => {
  const { answer, letter, place, choosable, chosen, changeable, alone, onBetter, onStop, onRegenerate, onGoOn } = props
  const { state, text, finish, tokens, scores } = answer
  const speed = tokensPerSecond(answer)
  if (state !== 'done')
    return (
      <footer>
        <span className="soft">{tokens.length > 0 && `${tokens.length} tokens`}</span>
        {!alone && (
          <IconButton label={`Stop answer ${letter}`} onClick={onStop}>
            <Square size={16} aria-hidden />
          </IconButton>
        )}
      </footer>
    )
  return (
    <footer>
      <span className="facts soft">
        {tokens.length > 0 && <span>{tokens.length} tokens</span>}
        {speed !== undefined && <span>{speed.toFixed(speed < 10 ? 1 : 0)}/s</span>}
        {finish === 'length' && <Badge tone="warn">cut at the limit</Badge>}
        {finish === 'stopped' && <Badge>stopped</Badge>}
        <ScoreOf kind="reward" score={scores.reward} />
        <ScoreOf kind="judge" score={scores.judge} />
      </span>
      <span className="tools">
        {choosable && !alone && (
          <Button aria-pressed={chosen} onClick={onBetter} aria-label={`Better ${place}: answer ${letter}`}>
            <ThumbsUp size={16} aria-hidden /> Better <kbd>{place}</kbd>
          </Button>
        )}
        {text && <CopyButton text={text} label={`Copy answer ${letter}`} />}
        {changeable && text && finish !== 'stop' && (
          <IconButton label={`Go on with answer ${letter}`} onClick={() => onGoOn()}>
            <ArrowRight size={16} aria-hidden />
          </IconButton>
        )}
        {changeable && (
          <IconButton label={`Write answer ${letter} anew`} onClick={onRegenerate}>
            <RefreshCw size={16} aria-hidden />
          </IconButton>
        )}
      </span>
    </footer>
  )
}

const ScoreOf = ({ kind, score }: { kind: Scorer['kind']; score: Answer['scores']['reward'] }) => {
  if (!score) return null
  if (score.value === undefined)
    return (
      <details className="score">
        <summary>
          <Badge tone="warn">{kind}: none</Badge>
        </summary>
        {score.error}
      </details>
    )
  const value = kind === 'judge' ? `${score.value}/10` : score.value.toFixed(2)
  const badge = (
    <Badge tone="accent">
      {kind} {value}
      {score.deviation !== undefined && ` ± ${score.deviation.toFixed(2)}`}
    </Badge>
  )
  if (!score.reason) return badge
  return (
    <details className="score">
      <summary>{badge}</summary>
      {score.reason}
    </details>
  )
}
