/** The largest token id that rows of ids hold, and where it stands, so that a model can be asked before training. */
import type { Where } from '../util/fault.ts'
import { isIds, type Row, type Text } from './rows.ts'

export type LargestId = { id: number; where: Where }

const textsOf = (row: Row): Text[] => {
  switch (row.kind) {
    case 'ranking':
      return [row.prompt, ...row.responses]
    case 'completion':
      return [row.prompt, row.completion, ...Object.values(row.beside ?? {})]
    case 'unpaired':
      return [row.prompt, row.completion]
    case 'text':
      return [row.text]
    case 'labelled':
      return [row.input_ids]
    case 'rated':
      return [row.prompt, row.response]
    case 'prompt':
      return [row.prompt]
    case 'messages':
      return []
  }
}

/** The larger of what was found and what a row holds. */
export const largestId = (found: LargestId | undefined, row: Row, where: Where): LargestId | undefined => {
  let largest = found
  for (const text of textsOf(row))
    if (typeof text !== 'string' && isIds(text))
      for (const id of text) if (id > (largest?.id ?? -1)) largest = { id, where }
  return largest
}
