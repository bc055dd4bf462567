/** The defaults of a schema of settings. */
import { z } from 'zod'

/** Undefined for a setting that must be given or has no default. */
export const defaultsOf = ({ shape }: z.ZodObject): Record<string, unknown> =>
  Object.fromEntries(Object.entries(shape).map(([key, field]) => [key, z.safeParse(field, undefined).data]))
