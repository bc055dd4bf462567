/** The queue of a labelling page: which task is shown, what follows it, and what became of the votes that were sent. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { useLocation } from 'wouter'
import type { Progress, TaskPage, TaskView, VoteConflict, Voted, VoteValue } from '../../../studio/labels/api.ts'
import { ApiFault, get, newRequestId, post, useRefreshOn } from '../../api.ts'
import { useSession } from '../../session.ts'
import { keepDraft, localDraft } from './draft.ts'
import { type Outbox, openOutbox, type Sent } from './outbox.ts'
import { type Start, startOf } from './value.ts'

type Next = TaskView | { done: Progress }

export type Now =
  | { state: 'loading' }
  | { state: 'failed'; error: unknown }
  | { state: 'done' }
  /** `visit` tells two visits to one task apart. */
  | { state: 'task'; view: TaskView; start: Start; visit: number }

export type Refusal = { sent: Sent; message: string; conflict?: VoteConflict }
export type Gold = NonNullable<Voted['gold']> & { task: number }

const outboxes = new Map<string, Outbox>()

/** One for all pages, so that what one page left is still sent while another is shown. */
const useOutbox = (): { outbox: Outbox; whose: string } => {
  const { root, person } = useSession()
  const whose = `${root}/${person.id}`
  const outbox = outboxes.get(whose) ?? openOutbox(localStorage, whose)
  outboxes.set(whose, outbox)
  return { outbox, whose }
}

const fetchNext = async (project: number, adjudicate: boolean, after?: number): Promise<Next> => {
  if (!adjudicate) return get<Next>(`/projects/${project}/next${after === undefined ? '' : `?after=${after}`}`)
  const { rows } = await get<TaskPage>(`/projects/${project}/adjudication?limit=100`)
  const next = rows.find(({ id, state }) => id !== after && state !== 'adjudicated')
  return next
    ? get<TaskView>(`/tasks/${next.id}?adjudicate=1`)
    : { done: await get<Progress>(`/projects/${project}/progress`) }
}

export const useLabelling = (project: number, id: number | undefined, adjudicate: boolean) => {
  const client = useQueryClient()
  const [, navigate] = useLocation()
  const { outbox, whose } = useOutbox()
  const [now, setNow] = useState<Now>({ state: 'loading' })
  const [refusals, setRefusals] = useState<readonly Refusal[]>([])
  const [gold, setGold] = useState<Gold>()
  const [trouble, setTrouble] = useState<string>()
  const waiting = useSyncExternalStore(outbox.subscribe, outbox.waiting)
  const visits = useRef(0)
  /** The task after the one that is shown, asked for as soon as the votes before are settled. */
  const upcoming = useRef<{ after: number; next: Promise<Next> }>(undefined)
  /** A task to show at the next address, instead of asking for one. */
  const held = useRef<{ view: TaskView; start: Start }>(undefined)
  /** What was said of tasks in this sitting, for undo. */
  const said = useRef(new Map<number, VoteValue>())
  const query = adjudicate ? '?adjudicate=1' : ''

  const progress = useQuery({
    queryKey: ['progress', project],
    queryFn: () => get<Progress>(`/projects/${project}/progress`),
  })
  useRefreshOn([`project/${project}`], 'progress')

  /** The decision of an adjudicator is another vote than the adjudicator's own. */
  const drafts = adjudicate ? `${whose}/adjudicate` : whose
  const beginning = (view: TaskView): Start =>
    adjudicate
      ? startOf({ draft: localDraft(drafts, view.id), vote: view.adjudication })
      : startOf({ ...view, draft: localDraft(drafts, view.id) ?? view.draft })

  const show = (view: TaskView, start = beginning(view)) => {
    setNow({ state: 'task', view, start, visit: ++visits.current })
    const next = outbox.settled().then(() => fetchNext(project, adjudicate, view.id))
    next.catch(() => {})
    upcoming.current = { after: view.id, next }
  }
  const showNext = (next: Next) => {
    if (!('done' in next)) return show(next)
    client.setQueryData(['progress', project], next.done)
    setNow({ state: 'done' })
  }

  /** Shows what `load` gives, unless something else was asked for in the meantime. */
  const turn = useRef(0)
  const open = async (load: () => Promise<void>) => {
    const mine = ++turn.current
    try {
      await load()
    } catch (error) {
      if (mine === turn.current) setNow({ state: 'failed', error })
    }
  }
  const load = () =>
    open(async () => {
      const mine = turn.current
      const { current } = held
      held.current = undefined
      if (current) return show(current.view, current.start)
      const next = await (id === undefined ? fetchNext(project, adjudicate) : get<TaskView>(`/tasks/${id}${query}`))
      if (mine === turn.current) showNext(next)
    })
  useEffect(() => {
    void load()
    // A new function at each render is no reason to load again
  }, [project, id, adjudicate])

  const goTo = (view: TaskView, start?: Start) => {
    if (id === undefined) return show(view, start)
    held.current = { view, start: start ?? beginning(view) }
    navigate(`/label/${project}/task${query}`)
  }

  const advance = (from: number) =>
    open(async () => {
      const mine = turn.current
      const { current } = upcoming
      const slow = setTimeout(() => mine === turn.current && setNow({ state: 'loading' }), 150)
      const ready = current?.after === from ? await current.next.catch(() => undefined) : undefined
      // Whether nothing is left is asked again: tasks may have come, and votes may have been taken back
      const next =
        ready && !('done' in ready) ? ready : await outbox.settled().then(() => fetchNext(project, adjudicate, from))
      clearTimeout(slow)
      if (mine !== turn.current) return
      if (id === undefined || 'done' in next) showNext(next)
      else goTo(next)
    })

  const send = (sent: Sent) => {
    setGold(undefined)
    setTrouble(undefined)
    outbox.add(sent)
    void advance(sent.task)
  }

  useEffect(
    () =>
      outbox.onOutcome((outcome) => {
        const { sent } = outcome
        if ('voted' in outcome) {
          client.setQueryData(['progress', sent.project], outcome.voted.progress)
          const found = outcome.voted.gold
          if (found) setGold({ ...found, task: sent.task })
          return
        }
        const { fault } = outcome
        const conflict = fault.status === 409 ? (fault.body as VoteConflict | undefined) : undefined
        setRefusals((before) => [...before, { sent, message: fault.message, ...(conflict?.theirs && { conflict }) }])
      }),
    [outbox, client],
  )

  const drop = (refusal: Refusal) => setRefusals((before) => before.filter((other) => other !== refusal))

  return {
    now,
    drafts,
    progress: progress.data,
    waiting,
    refusals,
    gold,
    trouble,
    reload: load,
    retry: outbox.retry,
    closeGold: () => setGold(undefined),
    drop,
    submit(view: TaskView, vote: { value: VoteValue; seconds: number }) {
      said.current.set(view.id, vote.value)
      const body = { ...vote, requestId: newRequestId(), version: view.version, shown: view.shown, touched: true }
      send({ kind: 'votes', project, task: view.id, body: { ...body, ...(adjudicate && { adjudicate }) } })
    },
    /** Goes on without a word. */
    pass: (view: TaskView) => void advance(view.id),
    /** @param value what was said so far; undefined: nothing */
    skip(view: TaskView, reason: string, seconds: number, value: VoteValue | undefined) {
      if (value) {
        said.current.set(view.id, value)
        keepDraft(drafts, view.id, value)
      }
      const body = { requestId: newRequestId(), version: view.version, reason, seconds }
      send({ kind: 'skip', project, task: view.id, body })
    },
    /** Takes the last vote or skip back, and shows its task as it was. */
    async undo() {
      setGold(undefined)
      setTrouble(undefined)
      if (outbox.waiting() > 0)
        return setTrouble('The last vote is not stored yet; undo it when the studio answers again.')
      await outbox.settled()
      try {
        const view = await post<TaskView>(`/projects/${project}/undo`, { requestId: newRequestId() })
        const value = said.current.get(view.id) ?? view.draft ?? view.vote?.value
        ++turn.current
        goTo(view, value && { value, touched: Object.keys(value).length > 0, from: 'draft' })
        void client.invalidateQueries({ queryKey: ['progress', project] })
      } catch (error) {
        setTrouble(error instanceof ApiFault ? `Nothing was undone: ${error.message}` : String(error))
      }
    },
    /** After a conflict: mine counts, with theirs in the history before it. */
    keepMine(refusal: Refusal) {
      drop(refusal)
      const { sent, conflict } = refusal
      const again = { requestId: newRequestId(), version: conflict!.version }
      if (sent.kind === 'votes') outbox.add({ ...sent, body: { ...sent.body, ...again } })
      else outbox.add({ ...sent, body: { ...sent.body, ...again } })
    },
    /** Opens the task of a refused vote again, with what was said. */
    async reopen(refusal: Refusal) {
      drop(refusal)
      await open(async () => {
        const { sent } = refusal
        const view = await get<TaskView>(`/tasks/${sent.task}${query}`)
        const value = sent.kind === 'votes' ? sent.body.value : (said.current.get(sent.task) ?? {})
        goTo(view, { value, touched: true, from: 'draft' })
      })
    },
  }
}

export type Labelling = ReturnType<typeof useLabelling>
