/** First and last values of all metrics. */
import type { MetricFigures } from '../../studio/runs/api.ts'
import { Card } from '../ui/Card.tsx'
import { number } from '../ui/format.ts'
import { Table } from '../ui/Table.tsx'

export const FiguresTable = ({ figures }: { figures: readonly MetricFigures[] }) => {
  if (figures.length === 0) return null
  const held = figures.some(({ heldLast }) => heldLast !== undefined)
  return (
    <Card title="In numbers">
      <Table label="Metrics in numbers">
        <thead>
          <tr>
            <th scope="col">Metric</th>
            {['First', 'Last', 'Least', 'Most', ...(held ? ['Held out, first', 'Held out, last'] : [])].map((name) => (
              <th key={name} scope="col" className="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {figures.map(({ name, label, first, last, least, most, heldFirst, heldLast }) => (
            <tr key={name}>
              <th scope="row" title={name}>
                <bdi>{label}</bdi>
              </th>
              {[first, last, least, most, ...(held ? [heldFirst, heldLast] : [])].map((value, i) => (
                <td key={i} className="number">
                  {number(value)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </Table>
    </Card>
  )
}
