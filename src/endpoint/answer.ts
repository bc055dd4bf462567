/** What a server's answer must look like: one choice with text in it. Servers differ, so only what is read is checked. */
import { z } from 'zod'
import type { Answer, Question } from './completions.ts'

const usage = z
  .object({ prompt_tokens: z.number(), completion_tokens: z.number() })
  .transform((counted) => ({ promptTokens: counted.prompt_tokens, completionTokens: counted.completion_tokens }))
  .nullish()
  .catch(undefined)
const finish = z.string().nullish()

const answers = {
  chat: z
    .object({
      choices: z.array(z.object({ message: z.object({ content: z.string().nullish() }), finish_reason: finish })),
      usage,
    })
    .transform(({ choices, usage }) => ({ usage, choices: choices.map((c) => ({ ...c, text: c.message.content })) })),
  text: z.object({ choices: z.array(z.object({ text: z.string().nullable(), finish_reason: finish })), usage }),
} as const

/** The answer, or what is wrong with it in words. */
export const readAnswer = (way: Question['way'], body: unknown): Answer | string => {
  const parsed = answers[way].safeParse(body)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]
    const where = path.length ? `${path.join('.')}: ` : ''
    return `a malformed answer (${typeof body === 'string' ? 'not JSON' : where + message})`
  }
  const { choices, usage } = parsed.data
  if (choices.length !== 1) return `${choices.length} completions instead of 1`
  const [{ text, finish_reason }] = choices
  const finishReason = finish_reason ?? 'stop'
  if (!text) return `an empty completion (finish_reason ${finishReason})`
  return { text, finishReason, usage: usage ?? undefined }
}

/** Tokens that an answer cost, whatever else is wrong with it. */
export const usageOf = (body: unknown): Answer['usage'] => z.object({ usage }).safeParse(body).data?.usage ?? undefined
