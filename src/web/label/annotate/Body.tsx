/** The text of a prompt or a response: Markdown, the turns of a conversation, or token ids as they are. */
import { memo } from 'react'
import { Markdown } from '../../ui/Markdown.tsx'
import { plainText, type Text, turnsOf } from './text.ts'

export const Body = memo(({ text }: { text: Text }) => {
  const turns = turnsOf(text)
  if (!turns)
    return typeof text === 'string' ? <Markdown text={text} /> : <div className="prose plain">{plainText(text)}</div>
  return (
    <ol className="turns">
      {turns.map(({ role, text }, i) => (
        <li key={i} className={role === 'user' ? 'asks' : undefined}>
          <span className="role">{role}</span>
          <Markdown text={text} />
        </li>
      ))}
    </ol>
  )
})
