/** The fields of a zod schema as flags: name, type, default and help text. */
import type { z } from 'zod'
import { assert } from '../../util/fault.ts'
import { kebab } from '../../util/kebab.ts'

export type Kind = 'text' | 'number' | 'boolean' | 'choice' | 'list' | 'record'

export type Field = {
  key: string
  /** --learning-rate */
  flag: string
  kind: Kind
  /** The kind of the values of a list or a record; of others, `kind` again. */
  of: Kind
  choices: readonly string[]
  required: boolean
  /** The default. */
  fallback: unknown
  /** The name of the value in the help: FILE, N. */
  value: string
  /** Between the values of a list that is one word on the command line. */
  separator?: string
  /** Its heading in the help. */
  group?: string
  description: string
  /** The description of the `--no-` flag. */
  off?: string
}

export const fieldsOf = (schema: z.ZodObject): Field[] =>
  Object.entries(schema.shape).map(([key, type]) => field(key, type as z.ZodType))

const field = (key: string, type: z.ZodType): Field => {
  const { inner, meta, fallback, required } = unwrap(type)
  const element = elementOf(inner)
  const { kind, choices } = kindOf(element ? unwrap(element).inner : inner)
  const { description = '', otherwise, value, separator, group, off } = meta
  return {
    key,
    flag: `--${kebab(key)}`,
    kind: element ? (definition(inner).type === 'array' ? 'list' : 'record') : kind,
    of: kind,
    choices,
    required: required && otherwise === undefined,
    fallback: fallback ?? otherwise,
    value: value ?? (kind === 'number' ? 'N' : kind === 'choice' ? 'NAME' : 'VALUE'),
    separator,
    group,
    description,
    off,
  }
}

/** learning-rate and learning_rate -> learningRate */
export const camel = (name: string) => name.replace(/[-_]([a-z])/g, (_, letter: string) => letter.toUpperCase())

type FieldMeta = {
  description?: string
  value?: string
  separator?: string
  otherwise?: string
  group?: string
  off?: string
}

const definition = (type: z.core.$ZodType) => (type as z.core.$ZodTypes)._zod.def

/** The type inside of `optional` and `default`, with the metadata of all layers. */
const unwrap = (type: z.ZodType) => {
  let inner = type
  let required = true
  let fallback: unknown
  const metas = [type.meta() ?? {}]
  for (;;) {
    const def = definition(inner)
    if (def.type !== 'optional' && def.type !== 'default') break
    if (def.type === 'default') fallback = def.defaultValue
    required = false
    inner = def.innerType as z.ZodType
    metas.unshift(inner.meta() ?? {})
  }
  return { inner, required, fallback, meta: Object.assign({}, ...metas) as FieldMeta }
}

const elementOf = (type: z.ZodType): z.ZodType | undefined => {
  const def = definition(type)
  if (def.type === 'array') return def.element as z.ZodType
  return def.type === 'record' ? (def.valueType as z.ZodType) : undefined
}

const kindOf = (type: z.ZodType): { kind: Kind; choices: readonly string[] } => {
  const def = definition(type)
  const plain = { string: 'text', number: 'number', boolean: 'boolean' } as const
  if (def.type === 'enum') return { kind: 'choice', choices: Object.values(def.entries).map(String) }
  assert(def.type in plain, `a flag cannot be of the type ${def.type}`)
  return { kind: plain[def.type as keyof typeof plain], choices: [] }
}
