/**
 * An episode as an animated SVG drawing, in real time: 50 steps a second. It is animated by SMIL, without a script, so that
 * the page can forbid scripts and requests.
 */
import { svg } from '../../report/svg.ts'
import { makeEnvs, maxEpisodeSteps, running, stateSize, stepEnv, timeStep, xThreshold } from './env.ts'
import { forward, hiddenSize, type Network } from './network.ts'
import { sampleAction, uniforms } from './policy.ts'

export type State = readonly [x: number, speed: number, angle: number, spin: number]

/** Plays an episode step by step. Yields the state before each step, and the last one. */
export function* episode(policy: Network, seed: number): Generator<State> {
  const envs = makeEnvs(1, seed)
  const draw = uniforms({ seed, stream: 2 })
  const hidden = new Float64Array(hiddenSize)
  const logits = new Float64Array(policy.outputs)
  const state = () => Array.from(envs.states.subarray(0, stateSize)) as unknown as State
  do {
    yield state()
    forward(policy, envs.states, 0, hidden, logits)
  } while (stepEnv(envs, 0, sampleAction(logits, draw)) === running)
  yield state()
}

/** Pixels a metre; the pole is one metre long. */
const metre = 70
const [width, height, ground] = [380, 130, 100]

/** Steps between two key frames; the browser interpolates between them. */
const every = 2

/** @returns an `<svg>` element that repeats after the time of 500 steps; a pole that fell lies there until then */
export const replay = (title: string, states: readonly State[]): string => {
  const shown = states.filter((_, i) => i % every === 0 || i === states.length - 1)
  const seconds = maxEpisodeSteps * timeStep
  const times = [...shown.keys()].map((i) => Math.min(i * every, states.length - 1) / maxEpisodeSteps)
  const moving = (type: string, values: readonly string[]) => {
    const all = times.at(-1)! < 1 ? { times: [...times, 1], values: [...values, values.at(-1)!] } : { times, values }
    const keys = all.times.map((t) => Number(t.toFixed(4))).join(';')
    return `<animateTransform attributeName="transform" type="${type}" dur="${seconds}s" repeatCount="indefinite" keyTimes="${keys}" values="${all.values.join(';')}"/>`
  }
  const x = (state: State) => (width / 2 + state[0] * metre).toFixed(1)
  const degrees = (state: State) => ((state[2] * 180) / Math.PI).toFixed(2)
  const end = xThreshold * metre
  return svg(title, width, height, [
    `<path class="axis" d="M${width / 2 - end} ${ground + 11}h${2 * end}m0 -6v12m${-2 * end} -12v12"/>`,
    `<g transform="translate(${x(shown[0])} ${ground})">`,
    moving(
      'translate',
      shown.map((state) => `${x(state)} ${ground}`),
    ),
    '<rect x="-18" y="-8" width="36" height="16" rx="3" style="fill:var(--c5)"/>',
    `<g transform="rotate(${degrees(shown[0])})">${moving('rotate', shown.map(degrees))}`,
    `<path d="M0 0V${-metre}" style="stroke:var(--c1);stroke-width:6;stroke-linecap:round"/></g>`,
    '<circle r="3.5" style="fill:var(--card)"/>',
    '</g>',
  ])
}
