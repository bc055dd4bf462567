/**
 * The tags of a run: words that people give it, in tags.json in its folder, so that they go where the folder goes. The file is
 * written whole or not at all.
 */
import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeText } from '../../report/files.node.ts'

export const tagsFile = 'tags.json'

export const tagsSchema = z.object({
  tags: z
    .array(z.string().trim().min(1, 'a tag needs a character').max(40, 'a tag has 40 characters at most'))
    .max(20, 'a run has 20 tags at most')
    .transform((tags) => [...new Set(tags)]),
})

const mostBytes = 64 * 1024

/** None where the file is not there, is damaged, or is no regular file. */
export const readTags = async (dir: string): Promise<string[]> => {
  const path = join(dir, tagsFile)
  try {
    const info = await lstat(path)
    if (!info.isFile() || info.size > mostBytes) return []
    return tagsSchema.parse(JSON.parse(await readFile(path, 'utf8'))).tags
  } catch {
    return []
  }
}

export const writeTags = (dir: string, tags: readonly string[]): Promise<void> =>
  writeText(join(dir, tagsFile), `${JSON.stringify({ tags })}\n`)
