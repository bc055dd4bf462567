/** A task's prompt and responses as labelling tools show them: as texts. */
import { contentText, type Message, shownTurn } from '../../data/messages.ts'
import { isIds, isMessages, type Text } from '../../data/rows.ts'
import type { Ranks, Task } from './tasks.ts'

/** What a tool cannot hold as it is, by what became of it. */
export type Changed = (what: string, n?: number) => void

/** Text for people. A prompt of one plain turn is that turn; of several, each begins with its role. */
const shown = (text: Exclude<Text, number[]>): string => {
  if (!isMessages(text)) return text
  if (text.length === 1) return contentText(text[0])
  return text.map((turn) => `${turn.role}: ${shownTurn(turn)}`).join('\n\n')
}

export type TaskTexts = { prompt: string; messages?: Message[]; responses: string[] }

/** The prompt and the responses as texts; of a prompt of turns these too. Or why there are none. */
export const textsOf = ({ prompt, responses }: Task): TaskTexts | 'token-ids' => {
  if (isIds(prompt) || responses.some(isIds)) return 'token-ids'
  return {
    prompt: shown(prompt),
    ...(isMessages(prompt) && { messages: prompt }),
    responses: (responses as Exclude<Text, number[]>[]).map(shown),
  }
}

export const isTied = (ranks: Ranks): boolean => {
  const given = ranks.filter((rank) => rank !== null)
  return new Set(given).size < given.length
}
