/** The frame of a table, which scrolls by itself, and heads that sort. Rows and cells are plain <tr>, <td>. */
import { ArrowDown, ArrowUp, ArrowUpDown } from 'lucide-react'
import type { ReactNode } from 'react'
import './tables.css'

/** @param children <thead> and <tbody>; cells of numbers have the class `number` */
export const Table = ({ label, children }: { label: string; children: ReactNode }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
  <section className="table-frame" aria-label={label} tabIndex={0}>
    <table className="table">{children}</table>
  </section>
)

type Sort = 'asc' | 'desc' | undefined

type SortProps = { children: ReactNode; sort: Sort; onSort(next: 'asc' | 'desc'): void; number?: boolean }

/** A <th> whose button sorts. */
export const SortHead = ({ children, sort, onSort, number = false }: SortProps) => {
  const Icon = sort === 'asc' ? ArrowUp : sort === 'desc' ? ArrowDown : ArrowUpDown
  return (
    <th
      scope="col"
      className={number ? 'number' : undefined}
      aria-sort={sort === 'asc' ? 'ascending' : sort === 'desc' ? 'descending' : undefined}
    >
      <button type="button" className="sort" onClick={() => onSort(sort === 'asc' ? 'desc' : 'asc')}>
        {children}
        <Icon size={12} aria-hidden />
      </button>
    </th>
  )
}
