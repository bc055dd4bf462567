/** The text of prompts and responses, which may be conversations. */
import type { TaskView } from '../../../studio/labels/api.ts'

export type Text = TaskView['prompt']
export type Turn = { role: string; text: string }

type Content = string | null | undefined | readonly { type?: string; text?: string }[]

const contentOf = (content: Content): string => {
  if (typeof content === 'string') return content
  return content ? content.map(({ text }) => text ?? '').join('') : ''
}

/** undefined: plain text. A turn without text, such as the call of a tool, is shown as its JSON. */
export const turnsOf = (text: Text): Turn[] | undefined => {
  if (typeof text === 'string' || typeof text[0] === 'number' || text.length === 0) return undefined
  return (text as Exclude<Text, string | number[]>).map((message) => {
    const { role, content, ...rest } = message
    const said = contentOf(content as Content)
    const calls =
      Object.keys(rest).length > 0 && said === '' ? `\`\`\`json\n${JSON.stringify(rest, null, 2)}\n\`\`\`` : said
    return { role, text: calls }
  })
}

/** As one text, in which marks are counted. */
export const plainText = (text: Text): string => {
  if (typeof text === 'string') return text
  if (typeof text[0] === 'number') return text.join(' ')
  return (text as Exclude<Text, string | number[]>).map(({ content }) => contentOf(content as Content)).join('\n\n')
}
