/** The prompts as conversations. A plain prompt is what the user says. */
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import type { Message } from '../../data/messages.ts'
import { openRows } from '../../data/openRows.node.ts'
import { isMessages } from '../../data/rows.ts'
import { unreadWarnings } from '../../recipes/trainer/dataset.ts'
import type { WarningEvent } from '../../runs/events.ts'
import { badInput } from '../../util/fault.ts'
import type { CritiqueSettings } from './settings.ts'

export type Conversations = {
  prompts: Message[][]
  /** Records of the files that gave no prompt, by reason. */
  dropped: Record<string, number>
  warnings: WarningEvent[]
}

/** Throws Faults of `openRows`, and 'bad-row' for a prompt with tools, which nobody here is asked with. */
export const readConversations = async ({
  data,
  column,
  maxSamples,
}: Pick<CritiqueSettings, 'data' | 'column' | 'maxSamples'>): Promise<Conversations> => {
  const rows = await openRows(data, { as: 'prompt', columns: column, chat: true, maxSamples, resolve: resolveDataset })
  try {
    const prompts: Message[][] = []
    const dropped = { ...rows.dropped }
    for (let i = 0; i < rows.length; i++) {
      const { prompt, template } = await rows.row(i)
      if (template)
        throw badInput(
          'bad-row',
          'has tools or variables for a chat template, which a critique cannot give',
          rows.where(i),
        )
      // Rows are read as chats, so every prompt is messages
      if (isMessages(prompt) && prompt.some(({ content }) => content?.length)) prompts.push(prompt)
      else dropped['empty-prompt'] = (dropped['empty-prompt'] ?? 0) + 1
    }
    if (!prompts.length) throw badInput('empty-data', 'every prompt is empty', { file: rows.files.join(', ') })
    return { prompts, dropped, warnings: unreadWarnings([rows]) }
  } finally {
    await rows.close()
  }
}
