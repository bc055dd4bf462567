/**
 * The CartPole-v1 environment (Barto, Sutton and Anderson 1983), many at once as a struct of arrays. It repeats the arithmetic
 * of Gymnasium 1.4 operation for operation (explicit Euler, positions before velocities), because an upright pole makes a
 * difference in the last bit grow by 8 % a step. States are float64, where Gymnasium gives the agent float32.
 */
import { fillUniform } from '../../util/rng.ts'

const gravity = 9.8
const poleMass = 0.1
const totalMass = poleMass + 1
/** Half of the pole's length, metres. */
const halfLength = 0.5
const poleMassLength = poleMass * halfLength
/** Newtons, to the right or to the left. */
const force = 10
/** Seconds a step. */
export const timeStep = 0.02
/** Metres from the middle of the track, beyond which an episode is terminated. */
export const xThreshold = 2.4
/** The same for the angle, radians: 12 degrees. */
const thetaThreshold = (12 * 2 * Math.PI) / 360
/** Steps after which an episode is truncated. */
export const maxEpisodeSteps = 500
/** Numbers in a state: x (m), x_dot (m/s), theta (rad), theta_dot (rad/s). */
export const stateSize = 4

export type Envs = {
  count: number
  /** [count, 4]: what a policy sees. */
  states: Float64Array
  /** [count]: steps since the last reset. */
  ages: Int32Array
  /** [count]: episodes begun. */
  episodes: Int32Array
  seed: number
}

/**
 * What a step led to: the episode goes on, the pole fell (`terminated`), or it was still up after 500 steps (`truncated`).
 */
export const running = 0
export const terminated = 1
export const truncated = 2
export type Outcome = typeof running | typeof terminated | typeof truncated

/** Random numbers of the first states: the stream of environment 0. */
const resetStream = 0xca27

/** Environments at the start of their first episodes. A first state depends on (seed, environment, episode) alone. */
export const makeEnvs = (count: number, seed: number): Envs => {
  const envs = {
    count,
    seed,
    states: new Float64Array(stateSize * count),
    ages: new Int32Array(count),
    episodes: new Int32Array(count),
  }
  for (let i = 0; i < count; i++) resetEnv(envs, i)
  return envs
}

const start = new Float32Array(stateSize)

/** Starts a new episode: each number of the state uniform in [-0.05, 0.05). */
export const resetEnv = ({ states, ages, episodes, seed }: Envs, i: number) => {
  fillUniform(start, { seed, stream: resetStream + i, substream: episodes[i]++ }, -0.05, 0.05)
  states.set(start, stateSize * i)
  ages[i] = 0
}

/**
 * One step of environment i, in place, with a reward of 1. The caller resets an environment whose episode ended.
 * @param action 1 pushes right, 0 left
 */
export const stepEnv = ({ states, ages }: Envs, i: number, action: number): Outcome => {
  const at = stateSize * i
  const [x, xDot, theta, thetaDot] = [states[at], states[at + 1], states[at + 2], states[at + 3]]
  const cosine = Math.cos(theta)
  const sine = Math.sin(theta)
  const push = (action === 1 ? force : -force) + poleMassLength * (thetaDot * thetaDot) * sine
  const drive = push / totalMass
  const turning =
    (gravity * sine - cosine * drive) / (halfLength * (4 / 3 - (poleMass * (cosine * cosine)) / totalMass))
  states[at] = x + timeStep * xDot
  states[at + 1] = xDot + timeStep * (drive - (poleMassLength * turning * cosine) / totalMass)
  states[at + 2] = theta + timeStep * thetaDot
  states[at + 3] = thetaDot + timeStep * turning
  ages[i]++
  if (Math.abs(states[at]) > xThreshold || Math.abs(states[at + 2]) > thetaThreshold) return terminated
  return ages[i] >= maxEpisodeSteps ? truncated : running
}
