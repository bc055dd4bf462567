/** Adjudication: what everyone said of the task, side by side, as a start for the decision. */
import type { ProjectSettings, VoteRecord, VoteValue } from '../../../studio/labels/api.ts'
import { Button } from '../../ui/Button.tsx'
import { keepFocus } from './Controls.tsx'
import { duration } from './timing.ts'
import { letterOf, summary } from './value.ts'

type Props = {
  votes: readonly VoteRecord[]
  shown: readonly number[]
  settings: ProjectSettings
  onTake(value: VoteValue): void
}

export const VotesTable = ({ votes, shown, settings, onTake }: Props) => (
  <section className="votes card" aria-label="Votes">
    <div className="table-scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Annotator</th>
            {settings.mode === 'rank' &&
              shown.map((i) => (
                <th scope="col" key={i}>
                  {letterOf(shown, i)}
                </th>
              ))}
            <th scope="col">Says</th>
            <th scope="col">Time</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {votes.map((vote) => (
            <tr key={vote.id}>
              <th scope="row" dir="auto">
                {vote.annotator}
              </th>
              {settings.mode === 'rank' && shown.map((i) => <td key={i}>{vote.value.ranks?.[i] ?? '–'}</td>)}
              <td>
                {vote.kind === 'skip'
                  ? `skipped${vote.reason ? `: ${vote.reason}` : ''}`
                  : summary(vote.value, shown, settings)}
                {vote.value.note && <q dir="auto">{vote.value.note}</q>}
                {vote.value.edit && <q dir="auto">{vote.value.edit.text}</q>}
              </td>
              <td>{duration(vote.seconds)}</td>
              <td>
                {vote.kind !== 'skip' && (
                  <Button
                    onMouseDown={keepFocus}
                    aria-label={`Take the vote of ${vote.annotator}`}
                    onClick={() => onTake(vote.value)}
                  >
                    Take this
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
)
