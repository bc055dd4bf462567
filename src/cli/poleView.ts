/**
 * CartPole in the terminal, in real time: 50 steps a second. Training is faster than that, so policies wait in a queue, and
 * one that is hardly better than the last one in it is left out.
 */
import { drawingRows, drawPole } from '../labs/cartpole/ascii.ts'
import { maxEpisodeSteps, timeStep } from '../labs/cartpole/env.ts'
import { episode } from '../labs/cartpole/replay.ts'
import type { Snapshot } from '../labs/cartpole/run.ts'
import { cursorUp, eraseLine, painter, type Screen } from './screen.ts'

/** A policy is shown if its episodes are this many times longer than those of the last one shown, or nearly perfect. */
const minImprovement = 1.6
const nearlyPerfect = maxEpisodeSteps - 1
const maxColumns = 81
/** Milliseconds that the end of an episode stays on the screen. */
const pauseAfterEpisode = 600
/** Milliseconds after which a view without a policy to show looks whether it was stopped. */
const pollEvery = 100

export const poleView = (screen: Screen, title: string, signal: AbortSignal) => {
  const queue: Snapshot[] = []
  let last: Snapshot | undefined
  let ended = false
  let drawn = false
  /** Ends the wait for the next policy. */
  let wake = () => {}
  const paint = painter(screen)

  const draw = (head: string, lines: readonly string[]) => {
    const up = drawn ? cursorUp(drawingRows + 1) : ''
    screen.write(up + [head, ...lines].map((line) => `${eraseLine}${line}\n`).join(''))
    drawn = true
  }
  const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds))
  const play = async ({ weights, episode: trained, seed }: Snapshot) => {
    const columns = Math.min(maxColumns, screen.columns() - 1)
    const policy = { outputs: 2, weights: Float64Array.from(weights) }
    const start = screen.now()
    let step = 0
    for (const state of episode(policy, seed + 2 ** 40)) {
      if (signal.aborted) return
      const rest = `  after ${trained} episodes   step ${step}`.slice(
        0,
        Math.max(0, screen.columns() - 2 - title.length),
      )
      draw(`  ${paint('bold', title)}${rest}`, drawPole(state, columns))
      await pause(Math.max(0, start + ++step * timeStep * 1000 - screen.now()))
    }
    await pause(pauseAfterEpisode)
  }
  const playAll = async () => {
    while (!signal.aborted) {
      const next = queue.shift()
      if (next) await play(next)
      else if (ended) return
      else
        await new Promise<void>((resolve) => {
          wake = resolve
          setTimeout(resolve, pollEvery)
        })
    }
  }
  const allShown = playAll()
  return {
    add(snapshot: Snapshot) {
      if (last && snapshot.mean < minImprovement * last.mean && snapshot.mean < nearlyPerfect) return
      last = snapshot
      queue.push(snapshot)
      wake()
    },
    /** Resolves when all policies in the queue have been shown. */
    finish: (): Promise<void> => {
      ended = true
      wake()
      return allShown
    },
  }
}
