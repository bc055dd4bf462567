/** What a file holds, before a project is made of it: its first prompts with their responses. */
import type { FilePreview } from './api.ts'
import { candidatesOfFile } from './readTasks.ts'
import { settingsOf } from './settings.ts'
import { plainText } from './tasks.ts'

/** Records that are read. */
const most = 200
/** Prompts that are shown, and the characters of each text. */
const shown = 3
const characters = 600

/** @throws Fault for a row that is malformed, with its place */
export const previewOf = async (path: string): Promise<FilePreview> => {
  const preview: FilePreview = { rows: [], responses: 0, ranks: false }
  // The mode that takes prompts with any number of responses
  const options = { settings: settingsOf({ mode: 'edit' }), drop: () => {} }
  for await (const { prompt, responses, known } of candidatesOfFile(path, options, most)) {
    preview.responses = Math.max(preview.responses, responses.length)
    preview.ranks ||= known !== undefined
    if (preview.rows.length < shown)
      preview.rows.push({
        prompt: plainText(prompt).slice(0, characters),
        responses: responses.map(({ text }) => plainText(text).slice(0, characters)),
      })
  }
  return preview
}
