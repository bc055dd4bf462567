/**
 * An answer as its tokens, shaded by how likely each was. What stood to choose from is shown beside the token that the pointer or
 * the arrow keys are on; a click or Enter keeps it open, and another token can be taken instead.
 */
import { Popover } from 'radix-ui'
import { type KeyboardEvent, memo, useMemo, useRef, useState } from 'react'
import type { AnswerToken } from '../../studio/play/api.ts'
import { isPartOfCharacter } from './conversation.ts'

type Props = {
  tokens: readonly AnswerToken[]
  /** What came before the first token that is known, and after the last. */
  text: string
  /** Goes on from another token; absent where that is not possible now. */
  onChoose?(index: number, token: string): void
}

export const Tokens = ({ tokens, text, onChoose }: Props) => {
  const [at, setAt] = useState<number>()
  const [pinned, setPinned] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  const leaving = useRef<ReturnType<typeof setTimeout>>(undefined)
  const anchor = useMemo(
    () => ({
      current: {
        getBoundingClientRect: () =>
          box.current?.querySelector(`[data-token="${at}"]`)?.getClientRects()[0] ?? new DOMRect(),
      },
    }),
    [at],
  )
  const show = (index: number | undefined, pin = false) => {
    clearTimeout(leaving.current)
    setAt(index)
    setPinned(pin && index !== undefined)
  }
  const indexOf = (target: EventTarget) => {
    const given = target instanceof HTMLElement ? target.dataset.token : undefined
    return given === undefined ? undefined : Number(given)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (step !== undefined && !pinned) {
      event.preventDefault()
      show(Math.max(0, Math.min(tokens.length - 1, (at ?? (step > 0 ? -1 : tokens.length)) + step)))
    } else if (event.key === 'Enter' && at !== undefined && !pinned) {
      event.preventDefault()
      setPinned(true)
    }
  }
  const leave = () => {
    if (!pinned) leaving.current = setTimeout(() => show(undefined), 200)
  }
  const take = (text: string) => {
    show(undefined)
    if (at !== undefined) onChoose?.(at, text)
  }
  const token = at === undefined ? undefined : tokens[at]
  return (
    <Popover.Root open={token !== undefined} onOpenChange={(open) => open || show(undefined)}>
      <Popover.Anchor virtualRef={anchor} />
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for the controls of forms */}
      <div
        ref={box}
        className="tokens prose plain"
        role="group"
        aria-label="Tokens of the answer; the arrow keys go from one to the next, Enter chooses another one"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move in it
        tabIndex={0}
        onKeyDown={onKeyDown}
        onBlur={() => pinned || leave()}
        onMouseOver={({ target }) => {
          const index = indexOf(target)
          if (!pinned && index !== undefined) show(index)
        }}
        onFocus={() => clearTimeout(leaving.current)}
        onMouseLeave={leave}
        onClick={({ target }) => {
          const index = indexOf(target)
          if (index !== undefined) show(index, true)
        }}
      >
        <TokenSpans tokens={tokens} text={text} at={at} />
      </div>
      {token && (
        <Popover.Portal>
          <Popover.Content
            className="alternatives"
            side="bottom"
            align="start"
            sideOffset={4}
            collisionPadding={8}
            aria-label="Alternatives to the token"
            onOpenAutoFocus={(event) => pinned || event.preventDefault()}
            onCloseAutoFocus={(event) => {
              event.preventDefault()
              if (pinned) box.current?.focus()
            }}
            onMouseEnter={() => clearTimeout(leaving.current)}
            onMouseLeave={leave}
            onFocusCapture={() => setPinned(true)}
          >
            <Alternatives token={token} onChoose={onChoose && take} />
          </Popover.Content>
        </Popover.Portal>
      )}
    </Popover.Root>
  )
}

/** Words as they are, with what cannot be seen made visible. */
const shown = (text: string) => text.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replaceAll(' ', '␣') || '∅'

export const percent = (logp: number): string => {
  const share = 100 * Math.exp(logp)
  return share >= 99.95 ? '100 %' : share >= 10 ? `${share.toFixed(1)} %` : `${share.toPrecision(2)} %`
}

const Alternatives = ({ token, onChoose }: { token: AnswerToken; onChoose?(text: string): void }) => (
  <>
    <p role="status">
      <code dir="auto">{shown(token.text)}</code> <strong>{percent(token.logp)}</strong>
      <small>log-prob {token.logp.toFixed(3)}</small>
    </p>
    {token.tops.length > 0 && (
      <ul>
        {token.tops.map(({ text, logp }) => {
          const isThis = text === token.text
          return (
            <li key={text}>
              <button
                type="button"
                disabled={isThis || !onChoose || isPartOfCharacter(text)}
                onClick={() => onChoose?.(text)}
              >
                <code dir="auto">
                  <span className="unseen">Go on with </span>
                  {shown(text)}
                </code>
                <span className="share">{percent(logp)}</span>
                <meter aria-hidden min={0} max={1} value={Math.exp(logp)} />
              </button>
            </li>
          )
        })}
      </ul>
    )}
    <p className="hint">
      {token.tops.length === 0
        ? 'The server tells no alternatives.'
        : onChoose
          ? 'Choose one, and the answer goes on from there.'
          : 'Only the newest answers can go on from another token.'}
    </p>
  </>
)

/** Five shades; likely tokens have none. */
const shadeOf = (logp: number) => {
  const p = Math.exp(logp)
  return p > 0.8 ? 0 : p > 0.5 ? 1 : p > 0.25 ? 2 : p > 0.1 ? 3 : 4
}

/** Tokens that are drawn together: of a long answer that grows only the last ones are drawn anew. */
const blockSize = 64

const TokenSpans = ({ tokens, text, at }: Pick<Props, 'tokens' | 'text'> & { at?: number }) => {
  const start = tokens[0]?.at ?? text.length
  const blocks = Math.ceil(tokens.length / blockSize)
  return (
    <>
      {text.slice(0, start)}
      {Array.from({ length: blocks }, (_, block) => {
        const from = block * blockSize
        const to = Math.min(tokens.length, from + blockSize)
        const end = tokens[to]?.at ?? text.length
        const isHere = at !== undefined && at >= from && at < to
        // Tokens are only added at the end
        return <TokenBlock key={from} {...{ tokens, text, from, to, end }} at={isHere ? at : undefined} />
      })}
    </>
  )
}

type BlockProps = Pick<Props, 'tokens' | 'text'> & { from: number; to: number; end: number; at?: number }

const TokenBlock = memo(
  ({ tokens, text, from, to, end, at }: BlockProps) =>
    tokens.slice(from, to).map((token, i) => {
      const index = from + i
      return (
        <span
          key={index}
          data-token={index}
          className={`token shade-${shadeOf(token.logp)}${index === at ? ' current' : ''}`}
        >
          {text.slice(token.at, index + 1 < to ? tokens[index + 1].at : end)}
        </span>
      )
    }),
  (a, b) =>
    a.to === b.to &&
    a.end === b.end &&
    a.at === b.at &&
    a.tokens[a.from] === b.tokens[b.from] &&
    a.tokens[a.to - 1] === b.tokens[b.to - 1],
)
