/** A command of the command line: a schema, from which its flags come, and the function that runs it. */
import type { z } from 'zod'
import type { Output } from './output.ts'

export type Context = {
  out: Output
  /** The command line after `attune`. */
  argv: readonly string[]
}

export type Command<S extends z.ZodObject = z.ZodObject> = {
  summary: string
  /** A command line that works, without `attune`; a file or a model that the user must have is a word in capitals. */
  example: string
  schema: S
  /** Keys of the schema that are positional arguments; the last may be a list. */
  operands?: readonly (keyof z.input<S> & string)[]
  /** Fills in settings that were left out, before the schema checks them. @param given flags and settings file together */
  prepare?(given: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>
  run(options: z.output<S>, context: Context): Promise<void>
}

/** Checks the type of `run` against its schema, then drops the schema's type, so that all commands fit into one table. */
export const command = <S extends z.ZodObject>(spec: Command<S>): Command => spec as unknown as Command
