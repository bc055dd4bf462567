/** One task on the screen: prompt, responses, what is said of them, and the keys. Mounted anew for each visit to a task. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { flushSync } from 'react-dom'
import type { Project, TaskView } from '../../../studio/labels/api.ts'
import { Badge } from '../../ui/Card.tsx'
import { useOpenHelp } from '../../ui/Help.tsx'
import { Body } from './Body.tsx'
import { CompareBar } from './CompareBar.tsx'
import { GoodControls, keepFocus, PairControls } from './Controls.tsx'
import { useDraft } from './draft.ts'
import { Editor } from './Editor.tsx'
import { Ladder } from './Ladder.tsx'
import { MarkBar } from './Marks.tsx'
import { ModeControls } from './ModeControls.tsx'
import { selectedBox, selectedPart, selectNextSentence, useSelection } from './marking.ts'
import { NoteField } from './NoteField.tsx'
import { ResponseCard } from './ResponseCard.tsx'
import { SkipDialog } from './SkipDialog.tsx'
import { TaskBar } from './TaskBar.tsx'
import { useTemplateStyle } from './templateStyle.ts'
import { plainText } from './text.ts'
import { useActions } from './useActions.ts'
import { useClock } from './useClock.ts'
import { useSingleKeys } from './useKeys.ts'
import type { Labelling } from './useLabelling.ts'
import { useTaskKeys } from './useTaskKeys.ts'
import { VotesTable } from './VotesTable.tsx'
import { bestOf, cleaned, letterOf, missing, onScreen, preferenceWords, ranksOf, type Start, unrated } from './value.ts'
import { useWork } from './work.ts'

type Props = {
  project: Project
  view: TaskView
  start: Start
  labelling: Labelling
  adjudicate: boolean
  onGuidelines(): void
}

/** Brings the head of a response into view, and the focus onto it. */
const focusCard = (response: number, scroll = true) => {
  const card = document.querySelector<HTMLElement>(`[data-response="${response}"]`)
  if (!card) return
  card.focus({ preventScroll: true })
  const { top } = card.getBoundingClientRect()
  if (scroll && (top < 56 || top > innerHeight * 0.6)) card.scrollIntoView({ block: 'start' })
}

export const Task = ({ project, view, start, labelling, adjudicate, onGuidelines }: Props) => {
  const { settings } = project
  const { mode, scales, strengths } = settings
  const { shown, responses } = view
  const [work, dispatch] = useWork(view, start)
  const { value, order, active } = work
  const [said, say] = useState('')
  const [hint, setHint] = useState<string>()
  const [skipping, setSkipping] = useState(false)
  const [editing, setEditing] = useState(mode === 'edit' || start.value.edit !== undefined)
  const [noting, setNoting] = useState(Boolean(start.value.note))
  const [unfolded, setUnfolded] = useState<readonly number[]>([])
  const [base, setBase] = useState<number>()
  const [single, setSingle] = useSingleKeys()
  const editor = useRef<HTMLTextAreaElement>(null)
  const noteField = useRef<HTMLTextAreaElement>(null)
  const seconds = useClock()
  const openHelp = useOpenHelp()
  const actions = useActions({ view, settings, work, dispatch, say })
  const marking = settings.spans
  const selection = useSelection(marking)
  const edits = settings.edits || mode === 'edit'
  const texts = useMemo(() => responses.map(({ text }) => plainText(text)), [responses])
  useTemplateStyle(settings.template?.css)

  const changed = useRef(false)
  changed.current ||= work.past.length > 0
  const endDraft = useDraft({
    whose: labelling.drafts,
    task: view.id,
    value: work.touched ? value : {},
    changed: changed.current,
    localOnly: adjudicate,
  })

  useEffect(() => {
    scrollTo({ top: 0 })
    focusCard(shown[0], false)
  }, [shown])
  // What React moves on the screen loses the focus
  useLayoutEffect(() => {
    if (document.activeElement === document.body) focusCard(active)
  }, [order, active])
  useEffect(() => setHint(undefined), [value])

  const focus = (response: number, scale = 0) => {
    dispatch({ do: 'focus', response, scale })
    focusCard(response)
  }
  const submit = () => {
    const state = { value: cleaned(value), touched: work.touched, start: start.from }
    const lacks = missing(settings, state, shown)
    if (lacks) {
      setHint(lacks)
      const gap = mode === 'rate' ? unrated(value, scales, order) : undefined
      if (gap && work.touched)
        focus(
          gap.response,
          scales.findIndex(({ name }) => name === gap.scale),
        )
      return
    }
    endDraft()
    labelling.submit(view, { value: state.value, seconds: seconds() })
  }
  const undo = () => {
    if (work.past.length === 0) return void labelling.undo()
    dispatch({ do: 'undo' })
    say('The last change is undone')
  }
  const skip = () => (adjudicate ? labelling.pass(view) : setSkipping(true))
  const accept = () => {
    if (mode === 'edit' && !value.edit) actions.edit({ text: texts[shown[0]], from: shown[0] })
    else dispatch({ do: 'accept' })
    say('Accepted as it is')
  }
  const openEditor = () => {
    // At once, so that what is typed next is text
    flushSync(() => setEditing(true))
    editor.current?.focus()
  }
  const openNote = () => {
    flushSync(() => setNoting(true))
    noteField.current?.focus()
  }
  const mark = (kind: 'good' | 'bad'): boolean => {
    const box = marking ? selectedBox() : undefined
    const response = Number(box?.getAttribute('data-markable'))
    const part = box ? selectedPart(box, texts[response]) : undefined
    if (!part) return false
    actions.mark({ response, ...part, mark: kind })
    getSelection()?.removeAllRanges()
    return true
  }
  const label = useTaskKeys({
    settings,
    view,
    work,
    actions,
    single,
    focus,
    leave: () => focusCard(active, false),
    mark,
    has: { edits, marking },
    run: {
      submit,
      undo,
      skip,
      accept,
      better: openEditor,
      note: openNote,
      guidelines: onGuidelines,
      help: openHelp,
      expand: () => setUnfolded(unfolded.length > 0 ? [] : shown),
      compare: () => setBase(base === undefined ? active : undefined),
      sentence() {
        const box = document.querySelector(`[data-markable="${active}"]`)
        if (box) say(selectNextSentence(box))
      },
    },
  })
  const judgeKeys = { good: label('good'), bad: label('bad') }
  const ranks = ranksOf(value, responses.length)
  /** pair: what is said, seen from the screen. */
  const side = value.preference === undefined ? undefined : onScreen(value.preference, shown)

  const stateOf = (response: number): string => {
    if (mode === 'rank') return ranks[response] === null ? 'unranked' : `rank ${ranks[response]}`
    return mode === 'best' && bestOf(value) === response ? 'the best' : ''
  }
  const badgeOf = (response: number) => {
    if (value.edit?.from === response) return <Badge tone="accent">edited</Badge>
    return mode === 'rank' && ranks[response] !== null ? <Badge tone="accent">rank {ranks[response]}</Badge> : null
  }

  return (
    <div className="task">
      <div className={settings.template ? 'template' : undefined}>
        {settings.template?.title && <p className="template-title">{settings.template.title}</p>}
        <section className={`prompt card ${settings.template?.classes?.prompt ?? ''}`} aria-label="Prompt">
          <Body text={view.prompt} />
        </section>
        {adjudicate && view.votes && (
          <VotesTable votes={view.votes} shown={shown} settings={settings} onTake={actions.takeOver} />
        )}
        {start.from === 'prediction' && !work.touched && (
          <p className="banner" role="note">
            Filled in by {view.prediction?.by}: check it, change it, or{' '}
            <button type="button" className="button" onMouseDown={keepFocus} onClick={accept}>
              accept it as it is <kbd>{label('accept')}</kbd>
            </button>
          </p>
        )}
        <CompareBar
          {...{ shown, base, unfolded: unfolded.length > 0, label }}
          long={texts.some((text) => text.length > 1600)}
          onBase={setBase}
          onUnfold={() => setUnfolded(unfolded.length > 0 ? [] : shown)}
        />
        <ol className={`responses of-${Math.min(responses.length, 3)}`} aria-label="Responses">
          {order.map((response) => (
            <ResponseCard
              key={response}
              index={response}
              letter={letterOf(shown, response)}
              response={responses[response]}
              state={stateOf(response)}
              badge={badgeOf(response)}
              active={active === response}
              drag={mode === 'rank' && responses.length > 1}
              unfolded={unfolded.includes(response)}
              comparedWith={base === undefined || base === response ? undefined : texts[base]}
              spans={marking ? (value.spans ?? []) : undefined}
              classes={settings.template?.classes}
              scores={Object.entries(view.scores ?? {}).map(([name, all]) => ({ name, score: all[response] }))}
              onActivate={(chosen) => dispatch({ do: 'focus', response: chosen })}
              onUnfold={() =>
                setUnfolded((before) =>
                  before.includes(response) ? before.filter((other) => other !== response) : [...before, response],
                )
              }
              onDrop={actions.drop}
              onSpan={actions.changeMark}
            >
              <ModeControls {...{ response, settings, view, work, actions }} />
            </ResponseCard>
          ))}
        </ol>
      </div>
      {editing && (
        <Editor
          field={editor}
          texts={texts}
          shown={shown}
          edit={value.edit}
          from={mode === 'edit' ? shown[0] : active}
          always={mode === 'edit'}
          onChange={actions.edit}
          onClose={() => setEditing(false)}
        />
      )}
      {noting && <NoteField field={noteField} note={value.note ?? ''} onChange={actions.note} />}
      <p className="unseen" role="status">
        {said}
      </p>
      <TaskBar
        {...{ mode, hint, label, edits, noting, editing, single }}
        allBad={settings.bothBad ? (value.bothBad ?? false) : undefined}
        several={responses.length > 1}
        acceptable={
          (start.from !== 'nothing' && start.from !== 'draft' && !work.touched) || (mode === 'edit' && !value.edit)
        }
        adjudicate={adjudicate}
        onSubmit={submit}
        onUndo={undo}
        onSkip={skip}
        onNote={openNote}
        onEdit={openEditor}
        onAllBad={actions.allBad}
        onAccept={accept}
        onSingle={setSingle}
      >
        {mode === 'rank' && responses.length > 1 && (
          <Ladder
            {...{ ranks, shown, order, active }}
            onDrop={actions.drop}
            onUnrank={(response) => actions.rank(response, null)}
            onGo={focus}
          />
        )}
        {mode === 'pair' && <PairControls strengths={strengths} step={side} onStep={actions.prefer} />}
        {mode === 'pair' && side !== undefined && <p className="pair-said">{preferenceWords(side, strengths)}</p>}
        {mode === 'good' && <GoodControls good={value.good} onGood={actions.good} keys={judgeKeys} />}
      </TaskBar>
      {selection && (
        <MarkBar left={selection.left} top={selection.top} keys={judgeKeys} onMark={(kind) => void mark(kind)} />
      )}
      <SkipDialog
        open={skipping}
        onClose={() => setSkipping(false)}
        onSkip={(reason) => {
          setSkipping(false)
          endDraft()
          labelling.skip(view, reason, seconds(), work.touched ? value : undefined)
        }}
      />
    </div>
  )
}
