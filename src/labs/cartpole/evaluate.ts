/** How long a policy keeps the pole up: whole episodes, actions drawn as in training, starts that training never had. */
import type { Network } from './network.ts'
import { makePoles } from './physics.ts'
import { uniforms } from './policy.ts'
import { makeRollout, playEpisodes } from './reinforce.ts'

/** @param round which episodes: another round has others @returns the lengths of this many episodes */
export const evaluate = (policy: Network, seed: number, round: number, episodes: number): number[] => {
  const played = makeRollout(episodes)
  const fresh = seed + 2 ** 32 * (round + 1)
  playEpisodes(policy, makePoles(episodes, fresh), uniforms({ seed: fresh, stream: 2 }), played)
  return [...played.lengths]
}
