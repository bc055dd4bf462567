/**
 * Proves a GGUF file: its weights and settings beside the model that it was made from, and what llama.cpp makes of it beside
 * attune: ids, chat template, beginning and end tokens, and log-probs, which attune computes from the file's own weights.
 */
import { openGguf } from '../../checkpoint/ggufFile.ts'
import { ggufModel } from '../../models/gguf.ts'
import { fileSource } from '../../util/files.node.ts'
import { openMerged } from '../mergedModel.ts'
import { type Check, compareWeights, compareWithReader } from './compare.ts'
import { expectedOf } from './expected.ts'
import type { ExportReader } from './reader.ts'

export type VerifySettings = { model: string; adapter?: string; file: string; threads?: number }

/** @param openReader opens the program that reads the file */
export const verifyGguf = async (
  { model, adapter, file, threads }: VerifySettings,
  openReader: (file: string) => Promise<ExportReader>,
): Promise<Check[]> => {
  const merged = await openMerged(model, adapter)
  const reader = await openReader(file)
  try {
    const { metadata, tensors } = await openGguf(await fileSource(file))
    const due = ggufModel(merged, merged.dir)
    const exact = [...tensors.values()].every(({ blocks }) => blocks === undefined)
    const expected = await expectedOf(merged, { file, exact, shortened: due.shortened, threads })
    return [
      settings(due.metadata, metadata),
      await compareWeights(due.tensors, tensors),
      ...(await compareWithReader(expected, reader)),
    ]
  } finally {
    await reader.close()
  }
}

const settings = (due: ReadonlyMap<string, unknown>, found: ReadonlyMap<string, unknown>): Check => {
  const plain = (value: unknown) =>
    typeof value === 'object' && value !== null && 'uint' in value
      ? value.uint
      : typeof value === 'object' && value !== null && 'float' in value
        ? Math.fround(value.float as number)
        : value
  const wrong = [...due]
    .filter(([key, value]) => String(plain(value)) !== String(found.get(key)))
    .map(([key, value]) => `${key} is ${found.get(key) ?? 'missing'}, and the model's is ${plain(value)}`)
  return { name: 'settings', found: `${due.size - wrong.length} of ${due.size} are the same`, wrong }
}
