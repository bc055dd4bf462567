/** The log of a run but for its steps and evaluations, which the curves show. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { EventPage } from '../../studio/runs/api.ts'
import { get } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { number } from '../ui/format.ts'
import { Table } from '../ui/Table.tsx'
import { runApi } from './address.ts'

const atOnce = 200
const longest = 400

export const LogTab = ({ name }: { name: string }) => {
  const [from, setFrom] = useState(0)
  const log = useQuery({
    queryKey: ['run-events', name, from],
    queryFn: () => get<EventPage>(runApi(name, `/events?from=${from}`)),
    placeholderData: keepPreviousData,
  })
  if (log.isError) return <ErrorNote error={log.error} />
  if (!log.data) return null
  const { total, events } = log.data
  if (total === 0)
    return (
      <EmptyState title="No events">
        <p>Checkpoints, warnings and samples of a run stand here.</p>
      </EmptyState>
    )
  return (
    <div className="stack">
      <Table label="Events of the run">
        <thead>
          <tr>
            <th scope="col" className="number">
              Step
            </th>
            <th scope="col">Event</th>
            <th scope="col">What it says</th>
          </tr>
        </thead>
        <tbody>
          {events.map(({ event, step, ...rest }, i) => {
            const text = JSON.stringify(rest)
            return (
              <tr key={i}>
                <td className="number">{typeof step === 'number' ? number(step) : ''}</td>
                <th scope="row">{event}</th>
                <td className="event-text">
                  {text.length > longest ? (
                    <details>
                      <summary>
                        <bdi>{text.slice(0, longest)}…</bdi>
                      </summary>
                      <bdi>{text}</bdi>
                    </details>
                  ) : (
                    <bdi>{text === '{}' ? '' : text}</bdi>
                  )}
                </td>
              </tr>
            )
          })}
        </tbody>
      </Table>
      {total > atOnce && (
        <div className="row">
          <Button disabled={from === 0} onClick={() => setFrom(Math.max(0, from - atOnce))}>
            Earlier
          </Button>
          <span className="soft">
            {number(from + 1)} to {number(from + events.length)} of {number(total)}
          </span>
          <Button disabled={from + atOnce >= total} onClick={() => setFrom(from + atOnce)}>
            Later
          </Button>
        </div>
      )}
    </div>
  )
}
