/**
 * Bodies of requests as OpenAI's clients send them, checked. Peculiar: a field that would change the answer and is not
 * supported is refused unless it asks for what happens anyway; fields that are only notes (user, metadata, store) pass.
 */
import { z } from 'zod'
import { refusal } from './refusal.ts'

const mostSamples = 128
const mostTops = 20

const penalty = z.number().min(-2).max(2).nullish()
const texts = z.array(z.string().min(1)).max(16)
const ids = z.array(z.number().int().nonnegative()).min(1)

const common = {
  model: z.string(),
  temperature: z.number().min(0).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  n: z.number().int().min(1).max(mostSamples).nullish(),
  stop: z.union([z.string().min(1), texts]).nullish(),
  seed: z.number().int().nullish(),
  presence_penalty: penalty,
  frequency_penalty: penalty,
  logit_bias: z.record(z.string().regex(/^\d+$/, 'must be a token id'), z.number().min(-100).max(100)).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.number().int().nonnegative().nullish(),
  // As vLLM and llama.cpp call them; 0 and -1 are off
  top_k: z.number().int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().nullish(),
}

const part = z.object({ type: z.literal('text', 'only text is supported'), text: z.string() })
const content = z.union([z.string(), z.array(part).transform((parts) => parts.map(({ text }) => text).join(''))], {
  error: 'must be text, or parts of the type text',
})
const message = z.looseObject({ role: z.string(), content: content.nullish() })

export const chatSchema = z.object({
  ...common,
  messages: z.array(message).min(1),
  max_completion_tokens: z.number().int().nonnegative().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.number().int().min(0).max(mostTops).nullish(),
})

export const completionSchema = z.object({
  ...common,
  prompt: z.union([z.string(), ids, z.array(z.string()).min(1), z.array(ids).min(1)], {
    error: 'must be text or token ids, or a list of one of them',
  }),
  logprobs: z.number().int().min(0).max(mostTops).nullish(),
  echo: z.boolean().nullish(),
})

export type ChatBody = z.output<typeof chatSchema>
export type CompletionBody = z.output<typeof completionSchema>
export type SamplingBody = z.output<z.ZodObject<typeof common>>

const isList = (value: unknown) => Array.isArray(value) && value.length === 0
/** What is not supported, and the values of it that ask for nothing. */
const unsupported: Readonly<Record<string, (value: unknown, body: Record<string, unknown>) => boolean>> = {
  tools: isList,
  functions: isList,
  tool_choice: (value) => value === 'none' || value === 'auto',
  response_format: (value) => (value as { type?: unknown }).type === 'text',
  modalities: (value) => JSON.stringify(value) === '["text"]',
  audio: () => false,
  suffix: (value) => value === '',
  best_of: (value, body) => value === (body.n ?? 1),
}

/** The checked body. Throws a refusal 400 that names the field. */
export const readBody = <S extends z.ZodObject>(schema: S, body: unknown): z.output<S> => {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw refusal(400, 'the body must be a JSON object')
  const given = body as Record<string, unknown>
  for (const [param, isHarmless] of Object.entries(unsupported)) {
    const value = given[param]
    if (value !== undefined && value !== null && !isHarmless(value, given))
      throw refusal(400, `${param}: is not supported by this server`, { param, code: 'unsupported_parameter' })
  }
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const { path, message } = result.error.issues[0]
  const param = path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i ? '.' : ''}${String(key)}`)).join('')
  throw refusal(400, `${param}: ${message}`, { param, code: 'invalid_value' })
}
