/** A loss of the recipes by its name, in which all its settings stand: how a worker gets the loss of a run. */
import type { LossFunction } from '../../train/loss.ts'
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import { policyGradientObjective } from '../rl/policyLoss.ts'
import { ppoObjective } from '../rl/ppoObjective.ts'
import { ktoObjective, rankedObjective, sftObjective } from './objectives.ts'

/** By the first word of the name, from the rest. */
const losses: Readonly<Record<string, (settings: string) => LossFunction>> = {
  sft: (lossType) => sftObjective(lossType as Parameters<typeof sftObjective>[0]),
  preference: (settings) => rankedObjective(JSON.parse(settings)),
  kto: (settings) => ktoObjective(JSON.parse(settings)),
  policy: (settings) => policyGradientObjective(JSON.parse(settings)),
  ppo: (settings) => {
    const [clip, vfCoef] = JSON.parse(settings)
    return ppoObjective({ clip, vfCoef: vfCoef ?? undefined })
  },
}

const parts = (name: string): [kind: string, settings: string] => {
  const space = name.indexOf(' ')
  return space < 0 ? [name, ''] : [name.slice(0, space), name.slice(space + 1)]
}

/** Whether workers can compute this loss: not one that a program made, or that reads a second model. */
export const isShareable = ({ name }: Pick<LossFunction, 'name'>): boolean => Object.hasOwn(losses, parts(name)[0])

/** Throws a Fault 'bad-shard' for a name that no recipe gives. */
export const lossByName = (name: string): LossFunction => {
  const [kind, settings] = parts(name)
  const made = Object.hasOwn(losses, kind) ? losses[kind](settings) : undefined
  if (made?.name !== name) throw badInput('bad-shard', `${quoted(name)} is no loss of this version`)
  return made
}
