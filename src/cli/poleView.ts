/**
 * The pole in the terminal, in its own time: 50 steps a second. Peculiar: training is faster than any pole falls, so the
 * policies that were clearly better than the last one shown wait in a queue.
 */
import { drawingRows, drawPole } from '../labs/cartpole/ascii.ts'
import { timeStep } from '../labs/cartpole/env.ts'
import { episode } from '../labs/cartpole/replay.ts'
import type { Snapshot } from '../labs/cartpole/run.ts'
import { painter, type Screen } from './screen.ts'

/** How much longer a policy must last to be worth an episode. */
const better = 1.6
const widest = 81

export const poleView = (screen: Screen, title: string, signal: AbortSignal) => {
  const queue: Snapshot[] = []
  let [last, ended, drawn] = [undefined as Snapshot | undefined, false, false]
  let wake = () => {}
  const paint = painter(screen)

  const draw = (head: string, lines: readonly string[]) => {
    const up = drawn ? `\u001b[${drawingRows + 1}A` : ''
    screen.write(up + [head, ...lines].map((line) => `\r\u001b[2K${line}\n`).join(''))
    drawn = true
  }
  const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds))
  const play = async ({ weights, episode: trained, seed }: Snapshot) => {
    const columns = Math.min(widest, screen.columns() - 1)
    const policy = { outputs: 2, weights: Float64Array.from(weights) }
    const [from, starts] = [screen.now(), seed + 2 ** 40]
    let step = 0
    for (const state of episode(policy, starts)) {
      if (signal.aborted) return
      const head = `  ${paint('bold', title)}  after ${trained} episodes   step ${step}`
      draw(head.slice(0, screen.columns() + 8), drawPole(state, columns))
      await pause(Math.max(0, from + ++step * timeStep * 1000 - screen.now()))
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
    /** Resolves when every policy was shown. */
    finish: () => {
      ended = true
      wake()
      return shown
    },
  }
}
