/** `--chat` of the commands that read rows for a model that exists: without the flag rows are read as the model's run read them. */
import { z } from 'zod'
import { trainedWithChat } from '../runs/find.node.ts'

/** @param description what the flag does in this command */
export const chatField = (description: string) =>
  z.boolean().optional().describe(`${description} (default: as the run of the model did in its training)`)

/** Whether plain rows are read as chats: by the flag, or else as the run was trained that made the adapter or the model. */
export const chatOf = async (
  { chat, model, adapter }: { chat?: boolean; model: string; adapter?: string },
  note: (text: string) => void,
): Promise<boolean> => {
  if (chat !== undefined) return chat
  const found = await trainedWithChat(adapter ?? model)
  if (found) note('  note      plain rows are read as chats, as in the training of this model (--no-chat: as they are)')
  return found ?? false
}
