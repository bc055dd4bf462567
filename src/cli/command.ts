/** What a command is: a schema, from which its flags come, and what is done with them. */
import type { z } from 'zod'
import type { Output } from './output.ts'

export type Context = {
  out: Output
  /** The command line after `attune`. */
  argv: readonly string[]
}

export type Command<S extends z.ZodObject = z.ZodObject> = {
  summary: string
  /** A command line that works, without `attune`. */
  example: string
  schema: S
  /** Keys of the schema that are given by position; the last may be a list. */
  operands?: readonly (keyof z.input<S> & string)[]
  /** Fills in what was left out, before the schema checks. `given` has flags and file joined. */
  prepare?(given: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>
  run(options: z.output<S>, context: Context): Promise<void>
}

/** Keeps the schema's type for `run` and forgets it for the table of commands. */
export const command = <S extends z.ZodObject>(spec: Command<S>): Command => spec as unknown as Command
