/**
 * Schemas of the request bodies that OpenAI's clients send. A field is supported, or changes no completion and is ignored, or
 * is accepted only with the value that describes what the server does anyway. Every other field is refused by its name, so
 * that nothing that a client asks for is silently left out.
 */
import { z } from 'zod'
import { httpError } from '../http/errors.ts'
import { parseJson } from '../util/json.ts'
import { quoted } from '../util/quote.ts'

const maxSamples = 128
const maxTopLogprobs = 20

const penalty = z.number().min(-2).max(2).nullish()
const texts = z.array(z.string().min(1)).max(16)
const id = z.number().int().nonnegative()
const ids = z.array(id).min(1)
const count = z.number().int().nonnegative()

const common = {
  model: z.string(),
  temperature: z.number().min(0).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  n: z.number().int().min(1).max(maxSamples).nullish(),
  stop: z.union([z.string().min(1), texts]).nullish(),
  seed: z.number().int().nullish(),
  presence_penalty: penalty,
  frequency_penalty: penalty,
  logit_bias: z.record(z.string().regex(/^\d+$/, 'must be a token id'), z.number().min(-100).max(100)).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() })
    .nullish(),
  max_tokens: count.nullish(),
  // The names of vLLM, SGLang and llama.cpp; top_k is off with 0 and -1
  top_k: z.number().int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  typical_p: z.number().gt(0).max(1).nullish(),
  repetition_penalty: z.number().positive().nullish(),
  min_tokens: count.nullish(),
  ignore_eos: z.boolean().nullish(),
  stop_token_ids: z.array(id).max(128).nullish(),
}

const part = z.strictObject({ type: z.literal('text', 'only text is supported'), text: z.string() })
const content = z.union([z.string(), z.array(part).transform((parts) => parts.map(({ text }) => text).join(''))], {
  error: 'must be text, or parts of the type text',
})

/** OpenAI's clients send the arguments of a call as a JSON string; templates read them as an object. */
const argumentsOf = (text: string): unknown => {
  try {
    const value = parseJson(text, () => new Error())
    return typeof value === 'object' && value !== null ? value : text
  } catch {
    return text
  }
}
const called = z.looseObject({ arguments: z.union([z.string().transform(argumentsOf), z.unknown()]) })
const toolCall = z.union([z.looseObject({ function: called }), z.looseObject({})])

/** Other fields pass, since the template may read them; fields that no template reads are refused. */
const message = z.looseObject({
  role: z.string(),
  content: content.nullish(),
  tool_calls: z.array(toolCall).nullish(),
  audio: z.null('is not supported by this server').optional(),
  function_call: z.null('is not supported by this server; use tool_calls').optional(),
  refusal: z.null('is not supported by this server; use content').optional(),
})

/** Checks without copying: a copy would lose how the client wrote its numbers. */
const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)

export const chatSchema = z.object({
  ...common,
  messages: z.array(message).min(1),
  max_completion_tokens: count.nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.number().int().min(0).max(maxTopLogprobs).nullish(),
  add_generation_prompt: z.boolean().nullish(),
  continue_final_message: z.boolean().nullish(),
  chat_template_kwargs: z.custom<Record<string, unknown>>(isObject, 'must be an object').nullish(),
})

export const completionSchema = z.object({
  ...common,
  prompt: z.union([z.string(), ids, z.array(z.string()).min(1), z.array(ids).min(1)], {
    error: 'must be text or token ids, or a list of one of them',
  }),
  logprobs: z.number().int().min(0).max(maxTopLogprobs).nullish(),
  echo: z.boolean().nullish(),
  return_tokens_as_token_ids: z.boolean().nullish(),
})

export type ChatBody = z.output<typeof chatSchema>
export type CompletionBody = z.output<typeof completionSchema>
export type SamplingBody = z.output<z.ZodObject<typeof common>>

/** Fields that no completion depends on: notes of the client, and hints to the service. */
const ignoredFields: ReadonlySet<string> = new Set([
  'user',
  'metadata',
  'store',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'cache_prompt',
  'request_id',
  'priority',
])

const isEmpty = (value: unknown) => Array.isArray(value) && value.length === 0
const is =
  (...values: unknown[]) =>
  (value: unknown) =>
    values.includes(value)

/** Fields that are not supported, and which of their values describe what the server does anyway. */
const neutralValues: Readonly<Record<string, (value: unknown, body: Record<string, unknown>) => boolean>> = {
  tools: isEmpty,
  functions: isEmpty,
  tool_choice: is('none', 'auto'),
  function_call: is('none', 'auto'),
  parallel_tool_calls: is(true, false),
  response_format: (value) => (value as { type?: unknown }).type === 'text',
  modalities: (value) => JSON.stringify(value) === '["text"]',
  suffix: is(''),
  best_of: (value, body) => value === (body.n ?? 1),
  use_beam_search: is(false),
  length_penalty: is(1),
  early_stopping: is(false),
  skip_special_tokens: is(true),
  spaces_between_special_tokens: is(true),
  include_stop_str_in_output: is(false),
  return_tokens_as_token_ids: is(false),
  return_token_ids: is(false),
  no_stop_trim: is(false),
  bad_words: isEmpty,
  add_special_tokens: (value, body) => value === 'prompt' in body,
  echo: is(false),
}

/** The checked body. Throws an HTTP error 400 that names the field. */
export const parseBody = <S extends z.ZodObject>(schema: S, body: unknown): z.output<S> => {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw httpError(400, 'the body must be a JSON object')
  const given = body as Record<string, unknown>
  for (const [param, value] of Object.entries(given)) {
    if (Object.hasOwn(schema.shape, param) || ignoredFields.has(param) || value === null) continue
    if (Object.hasOwn(neutralValues, param) && neutralValues[param](value, given)) continue
    throw unsupported(param)
  }
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const { path, message } = result.error.issues[0]
  const param = path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i ? '.' : ''}${String(key)}`)).join('')
  throw httpError(400, `${shown(param)}: ${message}`, { param, code: 'invalid_value' })
}

/** What to do instead, by field. */
const instead = new Map([
  ['reasoning_effort', '; give chat_template_kwargs what the template reads'],
  ['enable_thinking', '; give it in chat_template_kwargs'],
])

const unsupported = (param: string) =>
  httpError(400, `${shown(param)}: is not supported by this server${instead.get(param) ?? ''}`, {
    param: param.slice(0, 200),
    code: 'unsupported_parameter',
  })

/** The name of a field, quoted if it holds strange characters. */
const shown = (param: string) => (/^[\w.[\]-]{1,100}$/.test(param) ? param : quoted(param))
