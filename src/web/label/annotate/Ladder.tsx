/** The ranking so far, small enough to be always in view: responses by rank, best first. They can be dragged here too. */
import { useRef } from 'react'
import { type Drop, useDrag, useUnrankZone } from './drag.ts'
import { groupsOf, type Ranks } from './ranks.ts'
import { letterOf } from './value.ts'

type Props = {
  ranks: Ranks
  shown: readonly number[]
  order: readonly number[]
  active: number
  onDrop: Drop
  onUnrank(response: number): void
  onGo(response: number): void
}

export const Ladder = ({ ranks, shown, order, active, onDrop, onUnrank, onGo }: Props) => {
  const zone = useRef<HTMLLIElement>(null)
  const over = useUnrankZone(zone, onUnrank)
  const chips = (responses: readonly number[]) =>
    responses.map((response) => (
      <Chip key={response} {...{ response, shown, onDrop, onGo }} active={response === active} />
    ))
  const groups = groupsOf(ranks)
  return (
    <ol className="ladder" aria-label="The ranking so far">
      {groups.map((group, i) => (
        <li key={group[0]} className="rung">
          <span className="place">{i + 1}</span>
          {chips(order.filter((response) => group.includes(response)))}
        </li>
      ))}
      <li ref={zone} className={`rung rest ${over ? 'over' : ''}`}>
        <span className="place">{groups.length === 0 ? 'Not ranked yet' : 'Unranked'}</span>
        {chips(order.filter((response) => ranks[response] === null))}
      </li>
    </ol>
  )
}

type ChipProps = {
  response: number
  shown: readonly number[]
  active: boolean
  onDrop: Drop
  onGo(response: number): void
}

/** A link to the response: browsers drag links, and Firefox no buttons. */
const Chip = ({ response, shown, active, onDrop, onGo }: ChipProps) => {
  const link = useRef<HTMLAnchorElement>(null)
  const over = useDrag({ response, handle: link, target: link, sideways: () => true, onDrop, enabled: true })
  const letter = letterOf(shown, response)
  return (
    <a
      ref={link}
      href={`#response-${letter}`}
      className={`chip ${active ? 'active' : ''}`}
      data-over={over}
      aria-label={`Go to response ${letter}`}
      onClick={(event) => {
        event.preventDefault()
        onGo(response)
      }}
    >
      {letter}
    </a>
  )
}
