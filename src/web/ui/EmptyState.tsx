/** What a page says where there is nothing yet, and what to do next. */
import type { ReactNode } from 'react'

export const EmptyState = ({ title, children, next }: { title: string; children?: ReactNode; next?: ReactNode }) => (
  <div className="empty">
    <h2>{title}</h2>
    {children}
    {next && <div className="next">{next}</div>}
  </div>
)
