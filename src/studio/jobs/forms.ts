/**
 * Forms of the training methods, from their schemas, and the command line that a filled form stands for. Only commands and
 * flags of the schemas can come out, each value as one word: nothing passes through a shell.
 */
import { z } from 'zod'
import { type MethodKey, methodKeys, methods } from '../../recipes/methods.ts'
import { type Field, fieldsOf } from '../../recipes/settings/fields.ts'
import { converted, explain } from '../../recipes/settings/given.ts'
import { withLikeDefaults } from '../../recipes/trainer/trlDefaults.ts'
import { badInput, Fault } from '../../util/fault.ts'
import { didYouMean } from '../../util/nearest.ts'
import { quoted } from '../../util/quote.ts'
import type { FormField, MethodBrief, MethodForm, Problem, Settings } from './api.ts'
import { checkModelPath, checkRowsPath, fileBelow, pathBelow } from './paths.ts'

/** Of the command line alone, or with buttons of their own. */
const notInForms: ReadonlySet<string> = new Set(['resume', 'findLr', 'logEvery'])

/** What matters first, in this order; what else is required comes before them. */
const firstKeys: readonly string[] = [
  ...['model', 'data', 'reward', 'evalData', 'chat', 'loss', 'kind', 'numGenerations', 'evalSplit', 'epochs'],
  ...['maxSteps', 'learningRate', 'loraR', 'output'],
]

export const methodNamed = (name: string): MethodKey => {
  const key = methodKeys.find((known) => methods[known].name === name)
  if (key === undefined) throw badInput('no-method', `there is no method ${quoted(name)}`)
  return key
}

export const methodBriefs = (): MethodBrief[] => methodKeys.map(briefOf)

const briefOf = (key: MethodKey): MethodBrief => {
  const { name, group, brief, summary } = methods[key]
  return { name, group, brief, summary }
}

type JsonField = {
  type?: string
  minimum?: number
  exclusiveMinimum?: number
  maximum?: number
  exclusiveMaximum?: number
  items?: JsonField
}

export const methodForm = async (key: MethodKey): Promise<MethodForm> => {
  const schema: z.ZodObject = await methods[key].schema()
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  const fields = fieldsOf(schema)
    .filter((field) => !notInForms.has(field.key))
    .map((field) => formField(field, properties[field.key] as JsonField))
    .sort((a, b) => Number(b.first) - Number(a.first) || (a.first ? placeOf(a) - placeOf(b) : 0))
  return { ...briefOf(key), fields }
}

/** Model and data open every form. */
const placeOf = ({ key }: FormField): number => {
  const place = firstKeys.indexOf(key)
  return place < 0 ? 1.5 : place
}

const formField = (field: Field, json: JsonField): FormField => {
  const { key, flag, kind, of, choices, required, fallback, value, description, group = 'Method' } = field
  const number = json.items ?? json
  const least = number.minimum ?? number.exclusiveMinimum
  const most = number.maximum ?? number.exclusiveMaximum
  return {
    ...{ key, flag, kind, of, choices: [...choices], required, value, description, group },
    ...(isShown(fallback) && { fallback }),
    ...(of === 'number' && {
      ...(number.type === 'integer' && { whole: true }),
      ...(least !== undefined && Math.abs(least) < Number.MAX_SAFE_INTEGER && { least }),
      ...(most !== undefined && Math.abs(most) < Number.MAX_SAFE_INTEGER && { most }),
    }),
    first: required || firstKeys.includes(key),
  }
}

const isShown = (fallback: unknown): fallback is NonNullable<FormField['fallback']> =>
  ['string', 'number', 'boolean'].includes(typeof fallback) || Array.isArray(fallback)

export type CheckedSettings = {
  /** The words after `attune`. */
  argv: string[]
  problems: Problem[]
}

/**
 * Checks given settings as the command line does, and the paths in them.
 * @param root a real path   @param output the run folder where none is given
 */
export const checkSettings = async (
  root: string,
  key: MethodKey,
  given: Settings,
  output: string,
): Promise<CheckedSettings> => {
  const schema: z.ZodObject = await methods[key].schema()
  const fields = fieldsOf(schema).filter((field) => !notInForms.has(field.key))
  const problems: Problem[] = []
  const report = (name: string, error: unknown) => {
    if (!(error instanceof Fault)) throw error
    problems.push({ key: name, message: error.message.replace(/^--[\w-]+: /, '') })
  }
  for (const name of Object.keys(given))
    if (!fields.some((field) => field.key === name))
      problems.push({
        key: name,
        message: `is no setting of ${methods[key].name}${didYouMean(
          name,
          fields.map((field) => field.key),
        )}`,
      })
  const values: Record<string, unknown> = { output }
  for (const field of fields) {
    const value = given[field.key]
    if (isEmpty(value)) continue
    try {
      values[field.key] = converted(field, value)
    } catch (error) {
      report(field.key, error)
    }
  }
  let filled = values
  try {
    filled = withLikeDefaults(methods[key].name, values)
  } catch (error) {
    report('like', error)
  }
  const parsed = schema.safeParse(filled)
  for (const issue of parsed.error?.issues ?? []) {
    const name = String(issue.path[0] ?? '')
    if (problems.some((problem) => problem.key === name)) continue
    const field = fields.find((known) => known.key === name)
    // What it is stands beside the field already
    problems.push({ key: name, message: explain(issue, field, filled).replace(/^is required: .*/s, 'is required') })
  }
  const wrong = new Set(problems.map((problem) => problem.key))
  for (const field of fields) {
    if (wrong.has(field.key) || values[field.key] === undefined) continue
    for (const text of textsIn(values[field.key]))
      await checkPlace(root, field, text).catch((error) => report(field.key, error))
  }
  return { argv: [methods[key].name, ...fields.flatMap((field) => words(field, values[field.key]))], problems }
}

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value as object).length === 0)

const textsIn = (value: unknown): string[] => [value].flat().filter((each) => typeof each === 'string')

/** What a value of a field may point to, by the word that stands for it in the help. */
const checkPlace = async (root: string, { key, value }: Field, text: string): Promise<void> => {
  if (value === 'FILE') await checkRowsPath(root, text)
  else if (value === 'MODEL' || key === 'adapter') await checkModelPath(root, text)
  else if (value === 'DIR') await pathBelow(root, text)
  else if (value === 'REDIS') checkAddress(text)
  else if (value === 'SPEC' || value === 'SOURCE' || value === 'JUDGE') await checkSpec(root, text)
}

/** What a form holds is kept in a file and shown. */
const checkAddress = (address: string): void => {
  if (/[@?]/.test(address))
    throw badInput(
      'bad-flag',
      'may hold no password here; start the studio with --workers and the whole address, and give it here without the password',
    )
}

/** What gives rewards, completions or verdicts: a model, a judge, a file of code below the root, an address, or a rule. */
const checkSpec = async (root: string, spec: string): Promise<void> => {
  const plain = spec.replace(/^[A-Za-z_]\w*=/, '')
  if (/^(exact|regex|column):/.test(plain) || /^https?:\/\//.test(plain) || plain === 'arithmetic') return
  if (plain.startsWith('schema:')) return void (await fileBelow(root, plain.slice('schema:'.length)))
  if (/\.[cm]?[jt]s$/.test(plain)) return void (await fileBelow(root, plain))
  if (/\.(jsonl?|csv|tsv|parquet|gz)$/.test(plain)) return void (await fileBelow(root, plain))
  await checkModelPath(root, plain.replace(/^judge:/, '').replace(/#.*$/s, ''))
}

/** A setting as words of the command line. */
const words = (field: Field, value: unknown): string[] => {
  if (isEmpty(value)) return []
  const { flag, kind, separator } = field
  if (kind === 'boolean') return [value === true ? flag : flag.replace('--', '--no-')]
  if (kind === 'record') return Object.entries(value as object).flatMap(([name, each]) => word(flag, `${name}=${each}`))
  if (kind === 'list' && !separator) return (value as unknown[]).flatMap((each) => word(flag, each))
  return word(flag, kind === 'list' ? (value as unknown[]).join(separator) : value)
}

/** A value that begins with a dash would read as a flag. */
const word = (flag: string, value: unknown): string[] =>
  String(value).startsWith('-') ? [`${flag}=${value}`] : [flag, String(value)]
