/** What the playground keeps in this browser: its settings, and the last conversations. */

import { type Conversation, toKeep } from './conversation.ts'
import { maxLanes, type Settings } from './settings.ts'

const settingsKey = 'attune-play'
const conversationsKey = 'attune-play-conversations'
/** Conversations that are kept. */
const most = 50

const read = (key: string): unknown => {
  try {
    return JSON.parse(localStorage.getItem(key) ?? 'null')
  } catch {
    return null
  }
}

/** A browser that keeps nothing, or is full, is no reason to stop. */
const write = (key: string, value: unknown): boolean => {
  try {
    localStorage.setItem(key, JSON.stringify(value))
    return true
  } catch {
    return false
  }
}

export const keptSettings = (defaults: Settings): Settings => {
  const kept = Object(read(settingsKey)) as Partial<Settings>
  const lanes = Array.isArray(kept.lanes) ? kept.lanes.map(String).slice(0, maxLanes) : defaults.lanes
  return {
    ...defaults,
    ...kept,
    lanes: lanes.length ? lanes : defaults.lanes,
    sampling: { ...defaults.sampling, ...kept.sampling },
    scorers: { ...defaults.scorers, ...kept.scorers },
  }
}

export const keepSettings = (settings: Settings) => write(settingsKey, settings)

export const keptConversations = (): Conversation[] => {
  const kept = read(conversationsKey)
  return Array.isArray(kept) ? (kept as Conversation[]).filter(({ turns }) => Array.isArray(turns)) : []
}

/** The newest first; the oldest are dropped where the browser has no room. */
export const keepConversation = (conversation: Conversation): Conversation[] => {
  if (conversation.turns.length === 0) return keptConversations()
  const others = keptConversations().filter(({ id }) => id !== conversation.id)
  let all = [toKeep(conversation), ...others].slice(0, most)
  while (!write(conversationsKey, all) && all.length > 1) all = all.slice(0, Math.floor(all.length / 2))
  return all
}

export const dropConversation = (id: string): Conversation[] => {
  const others = keptConversations().filter((kept) => kept.id !== id)
  write(conversationsKey, others)
  return others
}
