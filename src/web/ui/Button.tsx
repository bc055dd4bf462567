/** Buttons. */
import type { ButtonHTMLAttributes, ReactNode } from 'react'

type Props = ButtonHTMLAttributes<HTMLButtonElement> & {
  /** `primary` for the one thing to do on a page; `danger` for what cannot be taken back. */
  look?: 'primary' | 'plain' | 'quiet' | 'danger'
}

export const Button = ({ look = 'plain', className = '', ...rest }: Props) => (
  <button type="button" className={`button ${look} ${className}`} {...rest} />
)

/** A button that shows an icon only. @param label what it does, for its tooltip and for screen readers */
export const IconButton = ({
  label,
  children,
  className = '',
  ...rest
}: Props & { label: string; children: ReactNode }) => (
  <button type="button" className={`button icon quiet ${className}`} aria-label={label} title={label} {...rest}>
    {children}
  </button>
)
