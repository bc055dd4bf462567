/** Conversations that this browser has kept: open one again, or drop it. */
import { Trash2 } from 'lucide-react'
import { useEffect, useState } from 'react'
import { IconButton } from '../ui/Button.tsx'
import { Dialog } from '../ui/Dialog.tsx'
import { ago } from '../ui/format.ts'
import { type Conversation, titleOf } from './conversation.ts'
import { dropConversation, keptConversations } from './kept.ts'

type Props = { open: boolean; onOpenChange(open: boolean): void; onRestore(conversation: Conversation): void }

export const HistoryDialog = ({ open, onOpenChange, onRestore }: Props) => {
  const [kept, setKept] = useState<Conversation[]>([])
  useEffect(() => {
    if (open) setKept(keptConversations())
  }, [open])
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Earlier conversations"
      lead="The last 50, in this browser alone. Probabilities of tokens are not kept."
      size="wide"
    >
      {kept.length === 0 && <p className="soft">Nothing yet: what you say is kept here by itself.</p>}
      <ul className="prompts choice">
        {kept.map((conversation) => (
          <li key={conversation.id}>
            <button type="button" onClick={() => onRestore(conversation)}>
              <span className="title" dir="auto">
                {titleOf(conversation)}
              </span>
              <small className="soft">
                {conversation.mode === 'chat' ? 'Chat' : 'Text'}, {conversation.turns.length}{' '}
                {conversation.turns.length === 1 ? 'turn' : 'turns'}, {ago(conversation.createdAt)}
              </small>
            </button>
            <IconButton
              label={`Drop the conversation ${titleOf(conversation)}`}
              onClick={() => setKept(dropConversation(conversation.id))}
            >
              <Trash2 size={16} aria-hidden />
            </IconButton>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}
