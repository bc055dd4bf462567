/** The settings of a project: their limits, and what they are where nobody said. */
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import type { ProjectSettings } from './api.ts'

const scale = z.strictObject({
  name: z.string().trim().min(1, 'a scale needs a name').max(100),
  min: z.number().int().min(-1000),
  max: z.number().int().max(1000),
  low: z.string().max(200).optional(),
  high: z.string().max(200).optional(),
})

/** What a style sheet may not hold: it would fetch something, or reach out of its rule. */
const unsafeCss = /url\s*\(|@import|expression\s*\(|javascript:|<\/|\\/i

const className = z
  .string()
  .max(200)
  .regex(/^[\w -]*$/, 'holds names of classes')

export const settingsSchema = z.strictObject({
  mode: z.enum(['rank', 'pair', 'rate', 'best', 'good', 'edit']).default('rank'),
  scales: z.array(scale).max(20).default([]),
  strengths: z.number().int().min(1).max(3).default(1),
  edits: z.boolean().default(true),
  spans: z.boolean().default(true),
  bothBad: z.boolean().default(true),
  overlap: z.number().int().min(1, 'at least one person labels a task').max(1000).default(1),
  repeats: z.number().min(0).max(0.5, 'at most half of the tasks are shown again').default(0),
  goldEvery: z.number().int().min(0).max(10_000).default(0),
  order: z.enum(['file', 'random', 'informative']).default('file'),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  blind: z.boolean().default(true),
  keys: z.record(z.string().max(50), z.string().max(50)).default({}),
  template: z
    .strictObject({
      css: z
        .string()
        .max(100_000)
        .refine((css) => !unsafeCss.test(css), 'may not fetch anything: no url(), no @import'),
      title: z.string().max(500).optional(),
      classes: z
        .strictObject({ prompt: className, item: className, title: className, body: className })
        .partial()
        .optional(),
    })
    .optional(),
})

/** Settings with what they leave out, checked as a whole. */
export const settingsOf = (given: unknown): ProjectSettings => {
  const settings = parsed(settingsSchema, given, 'settings')
  const { mode, scales } = settings
  if (mode === 'rate' && !scales.length) return { ...settings, scales: [{ name: 'quality', min: 1, max: 5 }] }
  const names = scales.map(({ name }) => name)
  if (new Set(names).size < names.length) throw httpError(400, 'settings.scales: two scales have the same name')
  for (const { name, min, max } of scales)
    if (min >= max) throw httpError(400, `settings.scales: ${name} ends at ${max}, but begins at ${min}`)
  return settings
}

/** What came over the wire, checked: status 400 with the place and what is wrong. */
export const parsed = <S extends z.ZodType>(schema: S, given: unknown, name = ''): z.output<S> => {
  const read = schema.safeParse(given)
  if (read.success) return read.data
  const { path, message } = read.error.issues[0]
  const place = [name, ...path.map(String)].filter(Boolean).join('.')
  throw httpError(400, place ? `${place}: ${message}` : message)
}

/** Of every change: sent again with the same id, it is not made twice. */
export const requestId = z.string().min(1).max(100)
