/**
 * CartPole-v1 (Barto, Sutton and Anderson 1983), many at once as a struct of arrays. Peculiar: it is Gymnasium 1.4's
 * arithmetic operation for operation (explicit Euler, positions before velocities), since a pole that stands on its tip
 * makes a last-bit difference grow by 8 % a step; states stay in float64, where Gymnasium shows the agent float32.
 */
import { fillUniform } from '../../util/rng.ts'

const gravity = 9.8
const poleMass = 0.1
const totalMass = poleMass + 1
/** Half of the pole, metres. */
const halfLength = 0.5
const poleMassLength = poleMass * halfLength
/** Newton, to the right or to the left. */
const force = 10
/** Seconds a step. */
export const timeStep = 0.02
/** Metres from the middle of the track. */
export const trackEnd = 2.4
/** Radians: 12 degrees. */
const greatestAngle = (12 * 2 * Math.PI) / 360
/** Steps after which an episode is cut, as `CartPole-v1` says. */
export const mostSteps = 500
/** Numbers in a state: x (m), x_dot (m/s), theta (rad), theta_dot (rad/s). */
export const stateSize = 4

export type Poles = {
  count: number
  /** [count, 4]: what a policy sees. */
  states: Float64Array
  /** [count]: steps since the last reset. */
  ages: Int32Array
  /** [count]: episodes begun. */
  episodes: Int32Array
  seed: number
}

/** What a step led to. `cut`: still up after 500 steps, which says nothing about what would have come. */
export const running = 0
export const fallen = 1
export const cut = 2
export type Outcome = typeof running | typeof fallen | typeof cut

/** Streams of random numbers of one seed. */
const resetStream = 0xca27

/** Poles at the beginning of their first episodes. Starts depend on (seed, pole, episode) alone. */
export const makePoles = (count: number, seed: number): Poles => {
  const poles = {
    ...{ count, seed, states: new Float64Array(stateSize * count) },
    ...{ ages: new Int32Array(count), episodes: new Int32Array(count) },
  }
  for (let i = 0; i < count; i++) resetPole(poles, i)
  return poles
}

const start = new Float32Array(stateSize)

/** Each number of the state uniform in [-0.05, 0.05). */
export const resetPole = ({ states, ages, episodes, seed }: Poles, i: number) => {
  fillUniform(start, { seed, stream: resetStream + i, substream: episodes[i]++ }, -0.05, 0.05)
  states.set(start, stateSize * i)
  ages[i] = 0
}

/** One step of pole i in place, reward 1; the caller resets what did not go on. @param action 1 pushes right, 0 left */
export const stepPole = ({ states, ages }: Poles, i: number, action: number): Outcome => {
  const at = stateSize * i
  const [x, speed, angle, spin] = [states[at], states[at + 1], states[at + 2], states[at + 3]]
  const cosine = Math.cos(angle)
  const sine = Math.sin(angle)
  const push = (action === 1 ? force : -force) + poleMassLength * (spin * spin) * sine
  const drive = push / totalMass
  const turning =
    (gravity * sine - cosine * drive) / (halfLength * (4 / 3 - (poleMass * (cosine * cosine)) / totalMass))
  states[at] = x + timeStep * speed
  states[at + 1] = speed + timeStep * (drive - (poleMassLength * turning * cosine) / totalMass)
  states[at + 2] = angle + timeStep * spin
  states[at + 3] = spin + timeStep * turning
  ages[i]++
  if (Math.abs(states[at]) > trackEnd || Math.abs(states[at + 2]) > greatestAngle) return fallen
  return ages[i] >= mostSteps ? cut : running
}
