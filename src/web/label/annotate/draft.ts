/** Drafts: what is not submitted yet is stored a moment after each change, and at once when the page is left. */
import { useEffect, useRef } from 'react'
import type { VoteValue } from '../../../studio/labels/api.ts'
import { request } from '../../api.ts'

const keyOf = (whose: string, task: number) => `attune-draft/${whose}/${task}`

/** A draft that the server did not take. */
export const localDraft = (whose: string, task: number): VoteValue | undefined => {
  const kept = localStorage.getItem(keyOf(whose, task))
  return kept === null ? undefined : JSON.parse(kept)
}

/** Of a task that is skipped: the server forgets its draft. */
export const keepDraft = (whose: string, task: number, value: VoteValue) =>
  localStorage.setItem(keyOf(whose, task), JSON.stringify(value))

/** Milliseconds of rest before a draft is sent. */
const rest = 400

type Options = {
  whose: string
  task: number
  value: VoteValue
  changed: boolean
  /** Not to the server: it stays in this browser. */
  localOnly: boolean
}

/** @returns ends the draft, since its vote is sent now */
export const useDraft = ({ whose, task, value, changed, localOnly }: Options): (() => void) => {
  const state = useRef({ value, dirty: false, ended: false, sending: new AbortController() })
  const key = keyOf(whose, task)

  const store = async (leaving: boolean) => {
    const { current } = state
    if (!current.dirty || current.ended) return
    current.dirty = false
    current.sending.abort()
    current.sending = new AbortController()
    localStorage.setItem(key, JSON.stringify(current.value))
    if (localOnly) return
    const { signal } = current.sending
    try {
      await request('PUT', `/tasks/${task}/draft`, { value: current.value }, leaving ? { keepalive: true } : { signal })
      // A later change has a draft of its own
      if (!current.dirty) localStorage.removeItem(key)
    } catch {
      // It stays in this browser, and is taken up when the task is opened again
    }
  }
  const latest = useRef(store)
  latest.current = store

  useEffect(() => {
    if (!changed) return
    state.current.value = value
    state.current.dirty = true
    const timer = setTimeout(() => latest.current(false), rest)
    return () => clearTimeout(timer)
  }, [value, changed])

  useEffect(() => {
    const leave = () => void latest.current(true)
    const hide = () => document.visibilityState === 'hidden' && leave()
    addEventListener('pagehide', leave)
    document.addEventListener('visibilitychange', hide)
    return () => {
      removeEventListener('pagehide', leave)
      document.removeEventListener('visibilitychange', hide)
      leave()
    }
  }, [])

  return () => {
    state.current.ended = true
    state.current.sending.abort()
    localStorage.removeItem(key)
  }
}
