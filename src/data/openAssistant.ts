/**
 * Conversation trees of OpenAssistant: one record a tree, or one record a message with the id of the message before it.
 * Every prompter's turn with answers is a ranking of them; a single answer is a ranking of one.
 */
import { z } from 'zod'
import { quoted } from '../util/quote.ts'
import { conform, type RecordLocation, rowFault } from './check.ts'
import type { Skipped } from './labels.ts'
import type { Message } from './messages.ts'
import type { Ranking } from './rows.ts'

type Columns = Record<string, unknown>
type Post = { id: string; role: string; text: string; rank: number | null; replies: Post[] }
export type TreeRows = { rows: Ranking[]; skipped: Skipped[] }

const fields = {
  message_id: z.string(),
  text: z.string(),
  role: z.string(),
  rank: z.number().nullish(),
  deleted: z.boolean().nullish(),
}
const post = z.looseObject({ ...fields, parent_id: z.string().nullish() })
const nested = z.looseObject({ ...fields, replies: z.array(z.unknown()).nullish() })

const ROLES: Readonly<Record<string, string>> = { prompter: 'user', user: 'user', assistant: 'assistant' }

const roleOf = (role: string, location: RecordLocation) => {
  if (!Object.hasOwn(ROLES, role))
    throw rowFault('bad-value', `is ${quoted(role, 40)}; roles are prompter and assistant`, location, 'role')
  return ROLES[role]
}

/** A conversation is no deeper than this. */
const MAX_DEPTH = 500

const postOf = (record: unknown, location: RecordLocation, depth = 0): Post => {
  if (depth > MAX_DEPTH) throw rowFault('bad-value', `is deeper than ${MAX_DEPTH} messages`, location, 'replies')
  const { message_id, text, role, rank, replies } = conform(nested, Object(record) as Columns, location, 'innermost')
  return {
    id: message_id,
    role: roleOf(role, location),
    text,
    rank: rank ?? null,
    replies: (replies ?? []).map((reply) => postOf(reply, location, depth + 1)),
  }
}

/** A tree as one record: {"message_tree_id", "prompt": {"text", "role", "replies": [...]}}. */
export const treeRows = (record: Columns, location: RecordLocation): TreeRows => ({
  rows: rankingsOf(postOf(record.prompt, location), []),
  skipped: [],
})

const rankingsOf = (asked: Post, before: Message[]): Ranking[] => {
  const turns: Message[] = [...before, { role: asked.role, content: asked.text }]
  const below = asked.replies.flatMap((reply) => rankingsOf(reply, turns))
  const answers = asked.role === 'user' ? asked.replies.filter(({ role }) => role === 'assistant') : []
  if (!answers.length) return below
  const ranked = answers.filter(({ rank }) => rank !== null).sort((a, b) => a.rank! - b.rank!)
  // Answers without any rank: which is better is not known, so each stands alone
  const groups = ranked.length ? [ranked] : answers.map((answer) => [answer])
  const rankings = groups.map((group): Ranking => {
    const ranks = [...new Set(group.map(({ rank }) => rank))]
    return {
      kind: 'ranking',
      id: asked.id,
      prompt: turns,
      responses: group.map(({ text }) => text),
      ranks: group.map(({ rank }) => ranks.indexOf(rank) + 1),
    }
  })
  return [...rankings, ...below]
}

/** Collects the messages of a tree, which stand together in the file, a message behind the one it answers. */
export const treeGatherer = () => {
  let root: Post | undefined
  let posts = new Map<string, Post>()
  const finish = (): Ranking[] => {
    const rows = root ? rankingsOf(root, []) : []
    root = undefined
    posts = new Map()
    return rows
  }
  return {
    /** The rows of the tree before, where a message begins another. */
    push: (record: Columns, location: RecordLocation): TreeRows => {
      const { message_id, parent_id, text, role, rank, deleted } = conform(post, record, location)
      const made: Post = { id: message_id, role: roleOf(role, location), text, rank: rank ?? null, replies: [] }
      if (parent_id === null || parent_id === undefined || parent_id === '') {
        const rows = finish()
        root = made
        posts.set(message_id, made)
        return { rows, skipped: [] }
      }
      const parent = posts.get(parent_id)
      if (!parent || deleted)
        return { rows: [], skipped: [{ task: message_id, reason: deleted ? 'deleted' : 'no-parent' }] }
      if (posts.size >= 10_000) throw rowFault('bad-value', 'is of a tree of more than 10000 messages', location)
      parent.replies.push(made)
      posts.set(message_id, made)
      return { rows: [], skipped: [] }
    },
    end: finish,
  }
}
