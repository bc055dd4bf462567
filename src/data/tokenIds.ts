/** The token ids that a row itself holds, to check before training that the model has them. */
import { isIds, type Row, type Text } from './rows.ts'

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

/** The first id of a row's own that is not below `size`. */
export const strayId = (row: Row, size: number): number | undefined => {
  for (const text of textsOf(row)) {
    if (typeof text === 'string' || !isIds(text)) continue
    const stray = text.find((id) => id >= size)
    if (stray !== undefined) return stray
  }
}
