/**
 * A constitution: principles in YAML, each with a request for a critique, one for a revision, and for the preference phase a
 * question that compares two replies ("Constitutional AI", arXiv 2212.08073).
 */
import { parse } from 'yaml'
import { z } from 'zod'
import { badInput } from '../../util/fault.ts'
import { plural } from '../../util/format.ts'
import { cut, quoted } from '../../util/quote.ts'
import { rng } from '../../util/rng.ts'

const words = z.string().trim().min(1, 'must not be empty')

const frame = (...places: string[]) =>
  words.refine((text) => places.every((place) => text.includes(`{${place}}`)), {
    message: `must hold ${places.map((place) => `{${place}}`).join(', ')}`,
  })

const framesSchema = z.strictObject({
  critique: frame('request'),
  revision: frame('request'),
  comparison: frame('conversation', 'request', 'a', 'b'),
})

const principleSchema = z.strictObject({
  id: words,
  kind: words.optional(),
  critique: words,
  revision: words,
  comparison: words.optional(),
})

const exampleSchema = z.strictObject({
  prompt: words,
  response: words,
  critique_request: words,
  critique: words,
  revision_request: words,
  revision: words,
})

const schema = z.strictObject({
  name: words.optional(),
  frames: framesSchema.partial().optional(),
  principles: z.array(principleSchema).min(1, 'must hold a principle at least'),
  examples: z.array(exampleSchema).default([]),
})

export type Principle = z.output<typeof principleSchema>
/** A critique and a revision that show a model without a chat template what these are. */
export type CritiqueExample = z.output<typeof exampleSchema>
/** What stands around a request, with places in curly brackets. */
export type Frames = z.output<typeof framesSchema>

export type Constitution = {
  name: string
  frames: Frames
  principles: readonly Principle[]
  examples: readonly CritiqueExample[]
}

/** Characters of a file: the time of the YAML parser may grow with their square. */
const maxCharacters = 2 ** 18

/**
 * Reads a constitution.
 * @param text the YAML   @param file its name, for messages
 * @param frames for what the file leaves out; without them it must give all
 * Throws Faults 'bad-constitution' that name the file and the key.
 * @example parseConstitution(await textFile('mine.yaml'), 'mine.yaml', shipped.frames).principles.length
 */
export const parseConstitution = (text: string, file: string, frames: Partial<Frames> = {}): Constitution => {
  const { success, data, error } = schema.safeParse(yamlOf(text, file))
  if (!success) throw issueFault(error.issues[0], file)
  const whole = framesSchema.safeParse({ ...frames, ...data.frames })
  if (!whole.success)
    throw issueFault({ ...whole.error.issues[0], path: ['frames', ...whole.error.issues[0].path] }, file)
  const ids = data.principles.map(({ id }) => id)
  const twice = ids.find((id, i) => ids.indexOf(id) < i)
  if (twice !== undefined)
    throw badInput('bad-constitution', `two principles have the id ${quoted(twice)}; give each its own`, { file })
  return { name: data.name ?? file, frames: whole.data, principles: data.principles, examples: data.examples }
}

const yamlOf = (text: string, file: string): unknown => {
  if (text.length > maxCharacters)
    throw badInput('bad-constitution', `has more than ${plural(maxCharacters, 'character')}; make it shorter`, { file })
  try {
    // Without its warnings, which have several lines
    return parse(text, { logLevel: 'error' })
  } catch (error) {
    const why = error instanceof RangeError ? 'is nested too deep' : (error as Error).message.split('\n')[0]
    throw badInput('bad-constitution', `is not YAML: ${cut(why, 200)}`, { file })
  }
}

const issueFault = ({ path, message }: z.core.$ZodIssue, file: string) => {
  const key = path.map((part) => (typeof part === 'number' ? `[${part + 1}]` : `.${String(part)}`)).join('')
  const where = key.replace(/^\./, '') || 'the file'
  return badInput(
    'bad-constitution',
    `${where}: ${message}; attune critique --print-constitution shows a file that works`,
    { file },
  )
}

/** Fills the places of a frame, all at once: curly brackets in what is put in stay as they are. */
export const fillFrame = (text: string, values: Readonly<Record<string, string>>): string =>
  text.replace(/\{(\w+)\}/g, (place, name: string) => (Object.hasOwn(values, name) ? values[name] : place))

/** Random streams of their own for principles ("cons" in ASCII), apart from those of sampling. */
const principleStream = 0x636f6e73

/** Which random number of a place: the principle of a critique or of a comparison, or the order of two replies. */
const purposes = { critique: 0, comparison: 1 } as const

/**
 * Draws a principle. It depends on the seed, the row and the round alone, so a resumed run and one with more rounds draw the
 * same. Every principle is equally likely, whatever was drawn before.
 * @param round of a critique, or the number of the pair of a comparison
 */
export const drawPrinciple = (
  principles: readonly Principle[],
  use: keyof typeof purposes,
  { seed, row, round }: { seed: number; row: number; round: number },
): Principle => {
  const own = Math.floor(rng(seed, principleStream).uniform(0) * 2 ** 32)
  return principles[Math.floor(rng(own, row, round).uniform(purposes[use]) * principles.length)]
}

/** The principles that have a question for comparison. Throws the Fault 'bad-constitution' where none has. */
export const comparingPrinciples = ({ principles, name }: Constitution): (Principle & { comparison: string })[] => {
  const found = principles.filter((each): each is Principle & { comparison: string } => each.comparison !== undefined)
  if (found.length) return found
  throw badInput(
    'bad-constitution',
    `no principle of ${quoted(name)} has a "comparison"; give one to those that may decide`,
    {
      flag: '--constitution',
    },
  )
}
