/**
 * The prompt library: playground-prompts.jsonl in the root, a row for each prompt. It is a file of rows and no table, so that
 * `attune generate`, `compare` and the reinforcement learning methods read it as it is, and people edit and share it.
 */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import { diskFault, writeWhole } from '../../util/files.node.ts'
import type { NewPrompt, SavedPrompt } from './api.ts'

export const promptsFile = 'playground-prompts.jsonl'

const rowSchema = z.looseObject({
  prompt: z.string(),
  id: z.coerce.string().optional(),
  name: z.string().optional(),
  system: z.string().optional(),
  created_at: z.string().optional(),
})

/** Prompts that are kept at most. */
const most = 10_000

export type PromptLibrary = {
  list(): Promise<SavedPrompt[]>
  add(prompt: NewPrompt): Promise<SavedPrompt>
  /** Does nothing where it is gone already. */
  remove(id: string): Promise<void>
}

/** Changes are made one after the other; lines that are no prompts are kept as they are. */
export const openPromptLibrary = (root: string): PromptLibrary => {
  const path = join(root, promptsFile)
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const made = last.then(work)
    last = made.catch(() => {})
    return made
  }
  const lines = async (): Promise<string[]> => {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw diskFault(error, path)
    })
    return text.split('\n').filter(Boolean)
  }
  const write = (all: readonly string[]) => writeWhole(path, [Buffer.from(all.map((line) => `${line}\n`).join(''))])
  return {
    list: () => inTurn(async () => (await lines()).flatMap((line, i) => promptOf(line, i) ?? [])),
    add: (prompt) =>
      inTurn(async () => {
        const before = await lines()
        if (before.length >= most) throw httpError(400, `${promptsFile} holds ${most} prompts already; remove some`)
        const saved = { id: randomUUID(), created_at: new Date().toISOString(), ...prompt }
        await write([...before, JSON.stringify(saved)])
        return saved
      }),
    remove: (id) =>
      inTurn(async () => {
        const before = await lines()
        const after = before.filter((line, i) => promptOf(line, i)?.id !== id)
        if (after.length < before.length) await write(after)
      }),
  }
}

/** A prompt that somebody wrote by hand may have no id: it is its line. */
const promptOf = (line: string, i: number): SavedPrompt | undefined => {
  let record: unknown
  try {
    record = JSON.parse(line)
  } catch {
    return undefined
  }
  const { data } = rowSchema.safeParse(record)
  return (
    data && {
      prompt: data.prompt,
      name: data.name,
      system: data.system,
      id: data.id ?? `line-${i + 1}`,
      created_at: data.created_at ?? '',
    }
  )
}
