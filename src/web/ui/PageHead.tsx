/** The head of a page: where it stands, its name, what one can do here. Names the browser's tab too. */
import { type ReactNode, useEffect } from 'react'
import { Link } from 'wouter'
import './page.css'

type Props = {
  title: string
  /** Pages above this one, from the outermost. */
  crumbs?: readonly { name: string; href: string }[]
  /** A sentence, or a few figures. */
  lead?: ReactNode
  /** Buttons, the main one last. */
  actions?: ReactNode
}

export const PageHead = ({ title, crumbs = [], lead, actions }: Props) => {
  useTitle(title)
  return (
    <header className="page-head">
      <div>
        {crumbs.length > 0 && (
          <nav className="crumbs" aria-label="Pages above">
            <ol>
              {crumbs.map(({ name, href }) => (
                <li key={href}>
                  <Link href={href}>{name}</Link>
                </li>
              ))}
            </ol>
          </nav>
        )}
        <h1 dir="auto">{title}</h1>
        {lead && <div className="soft">{lead}</div>}
      </div>
      {actions && <div className="actions">{actions}</div>}
    </header>
  )
}

/** For pages without a PageHead. */
export const useTitle = (title: string) => {
  useEffect(() => {
    document.title = `${title} · attune studio`
  }, [title])
}
