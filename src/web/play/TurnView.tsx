/** A turn: what the user said, the answers side by side, and which one is better. */
import { RefreshCw } from 'lucide-react'
import { memo } from 'react'
import { Link } from 'wouter'
import type { OpenModel } from '../../studio/play/api.ts'
import { Button } from '../ui/Button.tsx'
import { AnswerView } from './AnswerView.tsx'
import { type Conversation, canChoose, isComparable, isDone, isHidden, letters, type Turn } from './conversation.ts'
import type { View } from './settings.ts'
import type { Playground } from './usePlayground.ts'

type Props = {
  conversation: Conversation
  turn: Turn
  at: number
  view: View
  running: boolean
  models: readonly OpenModel[]
  play: Pick<Playground, 'choose' | 'stop' | 'regenerate' | 'goOn'>
}

/** While answers come in, many times a second, only their own turn is drawn anew. */
const isSame = (a: Props, b: Props) =>
  a.turn === b.turn &&
  a.at === b.at &&
  a.view === b.view &&
  a.running === b.running &&
  a.models === b.models &&
  a.conversation.turns.length === b.conversation.turns.length &&
  (b.running || a.conversation === b.conversation)

export const TurnView = memo(({ conversation, turn, at, view, running, models, play }: Props) => {
  const { id, answers, shown, better } = turn
  const isLast = at === conversation.turns.length - 1
  const hidden = isHidden(conversation, turn)
  const choosable = canChoose(conversation, at)
  const alone = answers.length === 1
  const isText = conversation.mode === 'text'
  return (
    <li className="turn">
      <div className={isText ? 'prompt' : 'asked'}>
        <span className="unseen">{isText ? 'Prompt' : 'You'}: </span>
        <div className="prose plain" dir="auto">
          {turn.text}
        </div>
      </div>
      <div className={`answers of-${answers.length}`}>
        {shown.map((lane, place) => (
          <AnswerView
            key={lane}
            answer={answers[lane]}
            letter={letters[place]}
            place={place + 1}
            name={hidden ? undefined : answers[lane].model}
            view={view}
            chosen={better === lane}
            choosable={choosable}
            changeable={isLast && !running}
            alone={alone}
            model={models.find(({ model }) => model === answers[lane].model)}
            onBetter={() => void play.choose(id, lane)}
            onStop={() => play.stop(id, lane)}
            onRegenerate={() => play.regenerate(id, lane)}
            onGoOn={(from) => play.goOn(id, lane, from)}
          />
        ))}
      </div>
      {!alone && isDone(turn) && (
        <div className="decision">
          {choosable ? (
            <>
              <Button aria-pressed={better === 'tie'} onClick={() => void play.choose(id, 'tie')}>
                Equally good <kbd>t</kbd>
              </Button>
              <Button aria-pressed={better === 'bad'} onClick={() => void play.choose(id, 'bad')}>
                {answers.length > 2 ? 'All bad' : 'Both bad'} <kbd>b</kbd>
              </Button>
            </>
          ) : (
            !isComparable(conversation, at) && (
              <p className="soft">
                These answers follow different earlier ones, so they cannot be compared. Choose the better one of the
                turn before, and all go on from it.
              </p>
            )
          )}
          {isLast && !running && (
            <Button look="quiet" onClick={() => play.regenerate(id)}>
              <RefreshCw size={16} aria-hidden /> All anew, seed {turn.seed + 1}
            </Button>
          )}
          {turn.saved && (
            <span className="soft" role="status">
              Saved in <Link href={`/label/${turn.saved.project}`}>playground</Link>
            </span>
          )}
        </div>
      )}
    </li>
  )
}, isSame)
