/**
 * The search in prompts and responses. The texts of the projects that were searched last are kept in memory, because reading
 * all of them again takes too long for each key that is typed.
 */
import type { Db } from '../../store/database.node.ts'
import { plainText } from './tasks.ts'

export type Search = {
  /** The tasks whose prompt or responses hold this text, whatever its case. */
  find(project: number, text: string): Promise<number[]>
  /** Tasks came in, or went. */
  forget(project: number): void
}

/** Texts of all tasks after each other, and where each task's ends. */
type Texts = { bytes: Buffer; ids: number[]; ends: number[] }

/** Projects whose texts are kept. */
const mostProjects = 2
const atOnce = 300

export const searchTasks = (db: Db): Search => {
  const known = new Map<number, Promise<Texts>>()
  return {
    async find(project, text) {
      const texts = known.get(project) ?? readTexts(db, project)
      known.delete(project)
      known.set(project, texts)
      texts.catch(() => known.delete(project))
      if (known.size > mostProjects) known.delete(known.keys().next().value!)
      return found(await texts, Buffer.from(text.toLowerCase()))
    },
    forget: (project) => known.delete(project),
  }
}

const readTexts = async (db: Db, project: number): Promise<Texts> => {
  const parts: Buffer[] = []
  const [ids, ends]: [number[], number[]] = [[], []]
  let end = 0
  for (let last = 0; ; ) {
    const rows = db.all<{ id: number; prompt: string; responses: string }>(
      `SELECT id, prompt, responses FROM task JOIN task_text ON task = id WHERE project = ? AND id > ? ORDER BY id LIMIT ${atOnce}`,
      project,
      last,
    )
    for (const { id, prompt, responses } of rows) {
      const texts = [JSON.parse(prompt), ...JSON.parse(responses).map(({ text }: { text: string }) => text)].map(
        plainText,
      )
      const part = Buffer.from(`${texts.join('\n')}\n`.toLowerCase())
      parts.push(part)
      end += part.length
      ids.push(id)
      ends.push(end)
    }
    if (rows.length < atOnce) return { bytes: Buffer.concat(parts), ids, ends }
    last = rows.at(-1)!.id
    // Others get their turn
    await new Promise((done) => setImmediate(done))
  }
}

const found = ({ bytes, ids, ends }: Texts, wanted: Buffer): number[] => {
  const all: number[] = []
  let task = 0
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, ends[task])) {
    while (ends[task] <= at) task++
    if (at + wanted.length <= ends[task]) all.push(ids[task])
  }
  return all
}
