/** Boxes and small marks: cards, figures, badges, bars of progress, keys, a button that copies. */
import { Check, Copy } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import { IconButton } from './Button.tsx'
import { useToast } from './Toasts.tsx'
import './cards.css'

type CardProps = { title?: ReactNode; actions?: ReactNode; children: ReactNode; className?: string }

export const Card = ({ title, actions, children, className = '' }: CardProps) => (
  <section className={`card ${className}`}>
    {(title || actions) && (
      <header>
        {title && <h2>{title}</h2>}
        {actions}
      </header>
    )}
    {children}
  </section>
)

/** A figure with its name. Put several into a <dl className="figures">. */
export const Figure = ({ name, value, note }: { name: string; value: ReactNode; note?: ReactNode }) => (
  <div className="figure">
    <dt>{name}</dt>
    <dd>
      <span>{value}</span>
      {note && <small>{note}</small>}
    </dd>
  </div>
)

export type Tone = 'plain' | 'accent' | 'good' | 'warn' | 'bad'

/** A word of state. @param tone colours it; the word alone must say it too */
export const Badge = ({ tone = 'plain', children }: { tone?: Tone; children: ReactNode }) => (
  <span className={`badge ${tone}`}>{children}</span>
)

/** @param label what goes on, for screen readers @param value of `max`; undefined where nobody knows how far it is */
export const ProgressBar = ({ label, value, max = 1 }: { label: string; value?: number; max?: number }) => (
  <progress className="progress" aria-label={label} max={max || 1} value={value} />
)

/** @param keys as they are said: Ctrl K, Alt ↑ */
export const Kbd = ({ keys }: { keys: string }) => (
  <span className="keys">
    {keys.split(' ').map((key) => (
      <kbd key={key}>{key}</kbd>
    ))}
  </span>
)

/** @param label what is copied: Copy the link */
export const CopyButton = ({ text, label, onCopy }: { text: string; label: string; onCopy?(): void }) => {
  const [copied, setCopied] = useState(false)
  const show = useToast()
  const copy = async () => {
    // Only pages of this machine or of https have a clipboard
    if (!navigator.clipboard)
      return show({ text: 'This browser lets no page copy here; select the text.', look: 'error' })
    await navigator.clipboard.writeText(text)
    setCopied(true)
    onCopy?.()
    setTimeout(() => setCopied(false), 1500)
  }
  return (
    <IconButton label={copied ? 'Copied' : label} onClick={copy}>
      {copied ? <Check size={16} aria-hidden /> : <Copy size={16} aria-hidden />}
    </IconButton>
  )
}
