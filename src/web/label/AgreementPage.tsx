/** How far people agree: with each other, with themselves, with judges; and what each person's votes lean towards. */
import type { Agreement, Interval as Estimate } from '../../studio/labels/api.ts'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { duration, number, percent } from '../ui/format.ts'
import { Interval } from '../ui/Plots.tsx'
import { Table } from '../ui/Table.tsx'
import { useAgreement, useLiveProject, useProjectId } from './data.ts'
import { ProjectFrame } from './ProjectFrame.tsx'
import { many } from './words.ts'
import './tasks.css'

const AgreementPage = () => {
  const id = useProjectId()
  useLiveProject(id)
  const agreement = useAgreement(id)
  return (
    <ProjectFrame id={id} title="Agreement">
      {agreement.isError && <ErrorNote error={agreement.error} />}
      {agreement.data && <Measures agreement={agreement.data} />}
    </ProjectFrame>
  )
}

export default AgreementPage

const Measures = ({ agreement }: { agreement: Agreement }) => {
  const { tasks, votes, annotators, judges } = agreement
  if (votes === 0)
    return (
      <EmptyState title="Nobody has voted yet">
        <p>
          Agreement is worked out while people label. It needs tasks that two people labelled, or tasks shown twice.
        </p>
      </EmptyState>
    )
  return (
    <>
      <section aria-labelledby="together">
        <header className="section-head">
          <h2 id="together">With each other</h2>
          <p className="soft">
            {tasks === 0
              ? `No task has votes of two people yet. Raise the overlap in the settings, and give a second person a link.`
              : `From ${many(tasks, 'task')} that two people or more labelled. From 0.8 on it is good, from 0.67 usable with care. Bars are 95 % intervals.`}
          </p>
        </header>
        <ul className="measures">
          {measures.map(({ key, name, about }) => (
            <Measure
              key={key}
              name={name}
              interval={agreement[key]}
              about={about}
              verdict={verdictOf(agreement[key])}
            />
          ))}
          <Measure
            name="With oneself"
            interval={agreement.withSelf}
            about={
              agreement.withSelf.pairs === 0
                ? 'No task was shown twice to the same person. Set repeats in the settings to measure it.'
                : `How often one person decides the same at the second look, over ${many(agreement.withSelf.pairs, 'pair')}. Nobody can agree with others more than with themselves.`
            }
            min={0}
            mark={0.5}
          />
        </ul>
      </section>
      <People annotators={annotators} />
      {judges.length > 0 && <Judges judges={judges} />}
    </>
  )
}

const measures = [
  {
    key: 'kappa',
    name: 'Cohen’s kappa',
    about: 'How often two people decide a pair alike, beyond what chance gives: 0 is chance, 1 is always.',
  },
  {
    key: 'alphaNominal',
    name: 'Alpha of pairs',
    about: 'Krippendorff’s alpha: the same question for any number of people, whoever labelled what.',
  },
  {
    key: 'alphaOrdinal',
    name: 'Alpha of ranks',
    about: 'Krippendorff’s alpha over places: second instead of first counts less than last instead of first.',
  },
  {
    key: 'tauB',
    name: 'Kendall’s tau-b',
    about: 'How alike two orders of the same responses are: 1 is the same order, 0 unrelated, −1 reversed.',
  },
] as const

/** Krippendorff (2004) takes data from 0.8 on as reliable and from 0.667 on for tentative conclusions. */
const verdictOf = ({ value, low }: Estimate): string | undefined => {
  if (value === null) return undefined
  const sure = low !== null && low >= 0.667
  if (value >= 0.8) return sure ? 'good' : 'good, but few votes'
  if (value >= 0.667) return 'usable with care'
  return value >= 0.4 ? 'moderate: read the guidelines together' : 'weak: people understand the task differently'
}

type MeasureProps = {
  name: string
  interval: Estimate
  about: string
  verdict?: string
  min?: number
  mark?: number
}

const Measure = ({ name, interval, about, verdict, min = -0.25, mark = 0 }: MeasureProps) => (
  <li>
    <h3>{name}</h3>
    <Interval label={name} {...interval} min={min} mark={mark} />
    {verdict && <span className={`verdict ${interval.value! >= 0.667 ? 'good' : 'warn'}`}>{verdict}</span>}
    <p className="soft">{about}</p>
  </li>
)

const People = ({ annotators }: { annotators: Agreement['annotators'] }) => (
  <section aria-labelledby="each">
    <header className="section-head">
      <h2 id="each">Each person</h2>
      <p className="soft">
        “First” and “longer” are how often somebody prefers what was shown first, or the longer of two: 50 % is without
        bias when the order is random.
      </p>
    </header>
    <Table label="Figures of each person">
      <Heads heads={['Person', 'Votes', 'Skipped', 'Time', 'With others', 'With self', 'Gold', 'First', 'Longer']} />
      <tbody>
        {annotators.map((person) => (
          <tr key={person.name}>
            <th scope="row">{person.name}</th>
            <td>{number(person.votes)}</td>
            <td>{number(person.skipped)}</td>
            <td>{duration(person.seconds)}</td>
            <td>{percent(person.agreement)}</td>
            <td>{percent(person.withSelf)}</td>
            <td>{person.gold.asked === 0 ? '–' : `${person.gold.right} of ${person.gold.asked}`}</td>
            <td>
              <Share name={`${person.name} prefers the first`} interval={person.first} />
            </td>
            <td>
              <Share name={`${person.name} prefers the longer`} interval={person.longer} />
            </td>
          </tr>
        ))}
      </tbody>
    </Table>
  </section>
)

const Judges = ({ judges }: { judges: Agreement['judges'] }) => (
  <section aria-labelledby="judges">
    <header className="section-head">
      <h2 id="judges">Judges against people</h2>
      <p className="soft">
        How often a model’s prediction is what people decided, and whether the model leans to the first or the longer of
        two.
      </p>
    </header>
    <Table label="Figures of each judge">
      <Heads heads={['Judge', 'With people', 'First', 'Longer']} />
      <tbody>
        {judges.map((judge) => (
          <tr key={judge.name}>
            <th scope="row">{judge.name}</th>
            <td>
              <Share name={`${judge.name} agreement with people`} interval={judge.agreement} />
            </td>
            <td>
              <Share name={`${judge.name} prefers the first`} interval={judge.first} />
            </td>
            <td>
              <Share name={`${judge.name} prefers the longer`} interval={judge.longer} />
            </td>
          </tr>
        ))}
      </tbody>
    </Table>
  </section>
)

const Share = ({ name, interval }: { name: string; interval: Estimate }) => (
  <Interval label={name} {...interval} mark={0.5} />
)

const Heads = ({ heads }: { heads: readonly string[] }) => (
  <thead>
    <tr>
      {heads.map((head) => (
        <th key={head} scope="col">
          {head}
        </th>
      ))}
    </tr>
  </thead>
)
