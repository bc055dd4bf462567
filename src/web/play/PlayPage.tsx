/** The playground: talk with up to four models side by side. */
import { useQuery } from '@tanstack/react-query'
import { Ellipsis, History, Plus } from 'lucide-react'
import { useCallback, useEffect, useRef, useState } from 'react'
import type { OpenModel } from '../../studio/play/api.ts'
import { get, post, useRefreshOn } from '../api.ts'
import { Button, IconButton } from '../ui/Button.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { isTyping, useHelp } from '../ui/Help.tsx'
import { Menu, MenuItem } from '../ui/Menu.tsx'
import { PageHead } from '../ui/PageHead.tsx'
import { Segmented } from '../ui/Tabs.tsx'
import { useToast } from '../ui/Toasts.tsx'
import { Composer } from './Composer.tsx'
import { canChoose, type Mode, rowsOf } from './conversation.ts'
import { HistoryDialog } from './HistoryDialog.tsx'
import { ModelDialog } from './ModelDialog.tsx'
import { PromptsDialog } from './PromptsDialog.tsx'
import { type Choosing, SettingsPanel } from './SettingsPanel.tsx'
import { maxLanes, type View } from './settings.ts'
import { TurnView } from './TurnView.tsx'
import { usePlayground } from './usePlayground.ts'
import './play.css'

const help: Parameters<typeof useHelp>[0] = {
  title: 'Playground',
  keys: [
    ['Enter', 'sends'],
    ['Shift Enter', 'begins a new line'],
    ['Esc', 'stops; when nothing is under way, leaves the box'],
    ['1, 2, 3, 4', 'this answer is better (in the box: with Alt)'],
    ['t, b', 'equally good, all bad'],
    ['r', 'writes all answers anew'],
    ['n', 'a new conversation'],
    ['m', 'goes to the box'],
    ['← →', 'in the tokens of an answer: from one to the next'],
  ],
}

const views: readonly { value: View; name: string }[] = [
  { value: 'markdown', name: 'Markdown' },
  { value: 'text', name: 'Text' },
  { value: 'tokens', name: 'Tokens' },
]
const modes: readonly { value: Mode; name: string }[] = [
  { value: 'chat', name: 'Chat' },
  { value: 'text', name: 'Complete' },
]

const PlayPage = () => {
  const toast = useToast()
  const fail = useCallback(
    (error: unknown) => toast({ text: error instanceof Error ? error.message : String(error), look: 'error' }),
    [toast],
  )
  const play = usePlayground(fail)
  const { settings, changeSettings, conversation, running } = play
  const { turns, mode } = conversation
  const models = useModels()
  const [text, setText] = useState('')
  const [choosing, setChoosing] = useState<Choosing>()
  const [dialog, setDialog] = useState<'prompts' | 'history'>()
  const box = useRef<HTMLTextAreaElement>(null)
  const last = turns.at(-1)
  const noModel = !settings.lanes.some(Boolean)
  useHelp(help)
  useScrollAlong(turns.length, running !== undefined)

  const send = () => {
    if (!text.trim() || running || noModel) return
    play.send(mode === 'chat' ? text.trim() : text)
    setText('')
  }
  const begin = (to: Parameters<typeof play.begin>[0] = {}) => {
    if (running) play.stop(running)
    play.begin(to)
    box.current?.focus()
  }
  const choose = (model: string, keyEnv?: string) => {
    const what = choosing!
    setChoosing(undefined)
    if ('scorer' in what) return changeSettings({ scorers: { ...settings.scorers, [what.scorer]: model } })
    const lanes = [...settings.lanes]
    lanes[what.lane] = model
    changeSettings({ lanes: lanes.slice(0, maxLanes) })
    post('/play/open', { model, keyEnv }).catch(fail)
  }
  useKeys({
    stop: () => {
      if (running) play.stop(running)
      else box.current?.blur()
    },
    better: (place) => {
      if (last && canChoose(conversation, turns.length - 1) && last.shown[place] !== undefined)
        void play.choose(last.id, last.shown[place])
    },
    say: (what) => {
      if (last && canChoose(conversation, turns.length - 1)) void play.choose(last.id, what)
    },
    again: () => {
      if (last && !running) play.regenerate(last.id)
    },
    begin: () => begin(),
    write: () => box.current?.focus(),
  })
  return (
    <div className="play">
      <PageHead
        title="Playground"
        actions={
          <>
            <Segmented label="Mode" choices={modes} value={mode} onChange={(to) => begin({ mode: to })} />
            <Segmented
              label="Show answers as"
              choices={views}
              value={settings.view}
              onChange={(view) => changeSettings({ view })}
            />
            <IconButton label="Earlier conversations" onClick={() => setDialog('history')}>
              <History size={16} aria-hidden />
            </IconButton>
            <Menu
              trigger={
                <IconButton label="Export">
                  <Ellipsis size={16} aria-hidden />
                </IconButton>
              }
            >
              <MenuItem disabled={turns.length === 0} onSelect={() => download(rowsOf(conversation))}>
                Download as rows (JSON lines)
              </MenuItem>
              <MenuItem
                disabled={turns.length === 0}
                onSelect={() =>
                  void navigator.clipboard
                    ?.writeText(linesOf(rowsOf(conversation)))
                    .then(() => toast({ text: 'Copied as rows.' }))
                }
              >
                Copy as rows
              </MenuItem>
            </Menu>
            <Button onClick={() => begin()} disabled={turns.length === 0}>
              <Plus size={16} aria-hidden /> New
            </Button>
          </>
        }
      />
      <div className="columns">
        <SettingsPanel
          settings={settings}
          onChange={changeSettings}
          conversation={conversation}
          onConversation={play.set}
          models={models}
          onChoose={setChoosing}
          onClose={(model) => void post('/play/close', { model }).catch(fail)}
        />
        <div className="talk">
          {turns.length === 0 ? (
            <Begin mode={mode} noModel={noModel} onChoose={() => setChoosing({ lane: 0 })} />
          ) : (
            <ol className="turns">
              {turns.map((turn, at) => (
                <TurnView
                  key={turn.id}
                  conversation={conversation}
                  turn={turn}
                  at={at}
                  view={settings.view}
                  running={running !== undefined}
                  models={models}
                  play={play}
                />
              ))}
            </ol>
          )}
          <Composer
            box={box}
            mode={mode}
            text={text}
            onText={setText}
            missing={noModel ? 'Choose a model first' : undefined}
            running={running !== undefined}
            onSend={send}
            onStop={() => running && play.stop(running)}
            onPrompts={() => setDialog('prompts')}
          />
        </div>
      </div>
      <ModelDialog what={choosing} onClose={() => setChoosing(undefined)} onChoose={choose} />
      <PromptsDialog
        open={dialog === 'prompts'}
        onOpenChange={(open) => setDialog(open ? 'prompts' : undefined)}
        current={{ prompt: text, ...(conversation.system.trim() && { system: conversation.system }) }}
        onTake={({ prompt, system }) => {
          setText(prompt)
          if (system !== undefined) play.set({ system })
          setDialog(undefined)
        }}
      />
      <HistoryDialog
        open={dialog === 'history'}
        onOpenChange={(open) => setDialog(open ? 'history' : undefined)}
        onRestore={(kept) => {
          play.restore(kept)
          setDialog(undefined)
        }}
      />
    </div>
  )
}

export default PlayPage

const useModels = (): readonly OpenModel[] => {
  useRefreshOn(['play/models'], 'play-open')
  return useQuery({ queryKey: ['play-open'], queryFn: () => get<OpenModel[]>('/play/open') }).data ?? []
}

const Begin = ({ mode, noModel, onChoose }: { mode: Mode; noModel: boolean; onChoose(): void }) =>
  noModel ? (
    <EmptyState
      title="Talk with your models"
      next={
        <Button look="primary" onClick={onChoose}>
          Choose a model
        </Button>
      }
    >
      <p>
        Up to four models or checkpoints answer side by side, with the same seed. Choose the better answer, and it
        becomes a row to train on.
      </p>
    </EmptyState>
  ) : (
    <EmptyState title={mode === 'chat' ? 'Say something' : 'Begin a text'}>
      <p>
        {mode === 'chat'
          ? 'The models answer by their chat templates. A base model has none; choose Complete for it.'
          : 'The models go on from it as it stands, without a chat template.'}
      </p>
    </EmptyState>
  )

type Keys = {
  stop(): void
  better(place: number): void
  say(what: 'tie' | 'bad'): void
  again(): void
  begin(): void
  write(): void
}

const useKeys = (keys: Keys) => {
  const newest = useRef(keys)
  newest.current = keys
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || document.querySelector('[role=dialog], [role=alertdialog], [role=menu]')) return
      const { stop, better, say, again, begin, write } = newest.current
      if (event.key === 'Escape') return stop()
      const digit = /^Digit([1-4])$/.exec(event.code)?.[1] ?? /^[1-4]$/.exec(event.key)?.[0]
      const withAlt = event.altKey && !event.ctrlKey && !event.metaKey
      if (digit && (withAlt || !isTyping(event))) {
        event.preventDefault()
        return better(Number(digit) - 1)
      }
      if (isTyping(event)) return
      const act = { t: () => say('tie'), b: () => say('bad'), r: again, n: begin, m: write }[event.key]
      if (!act) return
      event.preventDefault()
      act()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [])
}

/** Keeps the end in view while answers grow, unless the reader has scrolled up. */
const useScrollAlong = (turns: number, running: boolean) => {
  useEffect(() => {
    if (turns > 0) window.scrollTo({ top: document.documentElement.scrollHeight })
  }, [turns])
  useEffect(() => {
    if (!running) return
    let atEnd = true
    const page = document.documentElement
    const onScroll = () => {
      atEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 80
    }
    const grown = new ResizeObserver(() => {
      if (atEnd) page.scrollTop = page.scrollHeight
    })
    grown.observe(document.body)
    document.addEventListener('scroll', onScroll, { passive: true })
    return () => {
      grown.disconnect()
      document.removeEventListener('scroll', onScroll)
    }
  }, [running])
}

const linesOf = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

const download = (rows: readonly object[]) => {
  const url = URL.createObjectURL(new Blob([linesOf(rows)], { type: 'application/jsonl' }))
  const link = Object.assign(document.createElement('a'), { href: url, download: 'conversation.jsonl' })
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
