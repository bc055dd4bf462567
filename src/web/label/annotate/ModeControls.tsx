/** The controls of one response in the mode of its project. */
import type { ProjectSettings, TaskView } from '../../../studio/labels/api.ts'
import { BestControls, RankControls, RateControls } from './Controls.tsx'
import type { Actions } from './useActions.ts'
import { bestOf, letterOf, ranksOf } from './value.ts'
import type { Work } from './work.ts'

type Props = {
  response: number
  settings: ProjectSettings
  view: TaskView
  work: Work
  actions: Actions
}

export const ModeControls = ({ response, settings, view, work, actions }: Props) => {
  const { value, order, active } = work
  const letter = letterOf(view.shown, response)
  const count = view.responses.length
  switch (settings.mode) {
    case 'rank':
      return (
        <RankControls
          letter={letter}
          rank={ranksOf(value, count)[response]}
          count={count}
          onRank={(rank) => actions.rank(response, rank)}
          onMove={(by) => actions.move(response, by)}
        />
      )
    case 'best':
      return (
        <BestControls
          letter={letter}
          number={order.indexOf(response) + 1}
          best={bestOf(value) === response}
          onBest={() => actions.best(response)}
        />
      )
    case 'rate':
      return (
        <RateControls
          letter={letter}
          scales={settings.scales}
          ratings={value.ratings?.[response] ?? {}}
          active={response === active ? work.scale : undefined}
          onRate={(scale, rating) => actions.rate(response, scale, rating)}
          onScale={(scale) => actions.goTo(response, scale)}
        />
      )
    default:
      return null
  }
}
