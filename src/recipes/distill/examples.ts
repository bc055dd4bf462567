/** How rows become examples of distillation: a prompt as the student reads it and as the teacher does, and a completion. */
import { encodePrompt, unpairedExample } from '../../data/examples.ts'
import { type Completion, isIds, isMessages, type Prompt, type Text } from '../../data/rows.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import { badInput } from '../../util/fault.ts'
import { answered } from '../check/rowSigns.ts'
import type { ExampleRule } from '../trainer/dataset.ts'

export type DistillExample = {
  prompt: number[]
  /** The prompt as the teacher reads it, where that differs. */
  teacherPrompt?: number[]
  /** The completion of the data; empty where completions are sampled. */
  completion: number[]
  /** Tokens that a sampled completion may have. */
  room: number
  truncated: boolean
}

type Options = {
  /** --teacher-context */
  context?: string
  /** The longest text that the teacher can read, in tokens. */
  teacherLimit: number
  maxNewTokens: number
  /** Rows are prompts alone. */
  promptsOnly: boolean
}

/** The prompt with a text before it that only the teacher reads. */
export const withContext = (prompt: Text, context: string): Text => {
  if (isIds(prompt))
    throw badInput('bad-row', 'is token ids, before which --teacher-context cannot stand; give prompts as text')
  if (!isMessages(prompt)) return `${context}\n\n${prompt}`
  const [first, ...others] = prompt
  if (first.role !== 'system') return [{ role: 'system', content: context }, ...prompt]
  if (typeof first.content !== 'string')
    throw badInput('bad-row', 'has a system message in parts, before which --teacher-context cannot stand')
  return [{ ...first, content: `${context}\n\n${first.content}` }, ...others]
}

/** A completion ends at its first end token, whoever made it: what a chat template writes behind it no model samples. */
const endedAtEos = (ids: number[], eosIds: ReadonlySet<number>): number[] => {
  const end = ids.findIndex((id) => eosIds.has(id))
  return end < 0 ? ids : ids.slice(0, end + 1)
}

/** Of rows with a prompt and a completion, or with a prompt alone, whose completion is sampled. */
export const distillRule = (
  { encoder, limits, eosIds }: Tokenization,
  { context, teacherLimit, maxNewTokens, promptsOnly }: Options,
): ExampleRule<Completion | Prompt, DistillExample> => ({
  example: (row, count) => {
    const { template } = row
    const prompt = encodePrompt(encoder, row.prompt, template)
    if (prompt.length === 0) return 'empty-prompt'
    const teacherPrompt =
      context === undefined ? undefined : encodePrompt(encoder, withContext(row.prompt, context), template)
    const teacherRoom = teacherLimit - (teacherPrompt ?? prompt).length
    if (row.kind === 'prompt') {
      const longest = Math.min(limits.maxPromptLength ?? Number.POSITIVE_INFINITY, limits.maxLength - 1)
      if (prompt.length > longest || teacherRoom < 1) return 'prompt-too-long'
      const room = Math.min(maxNewTokens, limits.maxLength - prompt.length, teacherRoom)
      return { prompt, ...(teacherPrompt && { teacherPrompt }), completion: [], room, truncated: false }
    }
    const made = unpairedExample(encoder, { ...row, kind: 'unpaired', label: true }, limits, count)
    if (typeof made === 'string') return made
    // A prompt that is cut at its beginning would be another one behind the context
    if (teacherPrompt && made.prompt.length < prompt.length) return 'prompt-too-long'
    const left = Math.min(limits.maxLength - made.prompt.length, teacherLimit - (teacherPrompt ?? made.prompt).length)
    const ended = endedAtEos(made.completion, eosIds)
    const completion = ended.slice(0, Math.max(0, left))
    if (completion.length === 0) return 'no-reply-left'
    return {
      prompt: made.prompt,
      ...(teacherPrompt && { teacherPrompt }),
      completion,
      room: Math.min(maxNewTokens, left),
      truncated: made.truncated || completion.length < ended.length,
    }
  },
  ids: ({ prompt, teacherPrompt, completion }) => [prompt, completion, ...(teacherPrompt ? [teacherPrompt] : [])],
  sequences: ({ prompt, completion }) => [answered(completion.length ? 'completion' : 'prompt', prompt, completion)],
  method: promptsOnly ? 'grpo' : 'sft',
})
