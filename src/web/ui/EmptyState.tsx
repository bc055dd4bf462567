/** What a page says where there is nothing yet, and what to do next. */
import type { ReactNode } from 'react'

/** @param page it is all that the page shows, so its title is the page's */
export const EmptyState = (props: { title: string; children?: ReactNode; next?: ReactNode; page?: boolean }) => {
  const Title = props.page ? 'h1' : 'h2'
  return (
    <div className="empty">
      <Title>{props.title}</Title>
      {props.children}
      {props.next && <div className="next">{props.next}</div>}
    </div>
  )
}
