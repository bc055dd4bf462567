/**
 * CartPole in the terminal, in real time: 50 steps a second. Training is faster than that, so policies wait in a queue,
 * and only those that are clearly better than the last one are shown.
 */
import { drawingRows, drawPole } from '../labs/cartpole/ascii.ts'
import { timeStep } from '../labs/cartpole/env.ts'
import { episode } from '../labs/cartpole/replay.ts'
import type { Snapshot } from '../labs/cartpole/run.ts'
import { cursorUp, eraseLine, painter, type Screen } from './screen.ts'

/** How many times longer than the last one shown a policy must last to be shown. */
const better = 1.6
const widest = 81

export const poleView = (screen: Screen, title: string, signal: AbortSignal) => {
  const queue: Snapshot[] = []
  let last: Snapshot | undefined
  let ended = false
  let drawn = false
  let wake = () => {}
  const paint = painter(screen)

  const draw = (head: string, lines: readonly string[]) => {
    const up = drawn ? cursorUp(drawingRows + 1) : ''
    screen.write(up + [head, ...lines].map((line) => `${eraseLine}${line}\n`).join(''))
    drawn = true
  }
  const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds))
  const play = async ({ weights, episode: trained, seed }: Snapshot) => {
    const columns = Math.min(widest, screen.columns() - 1)
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
    await pause(600)
  }
  const run = async () => {
    while (!signal.aborted) {
      const next = queue.shift()
      if (next) await play(next)
      else if (ended) return
      else
        await new Promise<void>((resolve) => {
          wake = resolve
          setTimeout(resolve, 100)
        })
    }
  }
  const shown = run()
  return {
    add(snapshot: Snapshot) {
      if (last && snapshot.mean < better * last.mean && snapshot.mean < 499) return
      queue.push((last = snapshot))
      wake()
    },
    /** Resolves when all policies in the queue have been shown. */
    finish: () => {
      ended = true
      wake()
      return shown
    },
  }
}
