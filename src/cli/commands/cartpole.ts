/** `attune cartpole`: the classic-control lab, with a line of progress, a line for each run, and with --watch the pole itself. */
import { z } from 'zod'
import type { CartpoleEvent } from '../../labs/cartpole/lab.ts'
import { cartpoleSchema, chosenMethods, methodNotes } from '../../labs/cartpole/settings.ts'
import { badInput } from '../../util/fault.ts'
import { percent, plural, whole } from '../../util/format.ts'
import { command } from '../command.ts'
import { columns, duration, paragraph, shortPath } from '../format.ts'
import { eventPrinter, reportLine, runLab } from '../labEvents.ts'
import type { Output } from '../output.ts'
import { poleView } from '../poleView.ts'
import { progressBar } from '../progressBar.ts'
import { makeLiveLine, painter, type Screen } from '../screen.ts'

const schema = cartpoleSchema.extend({
  watch: z.boolean().default(false).describe('show the pole in the terminal while the first run learns to balance it'),
})

export default command({
  summary:
    'CartPole by policy gradients: REINFORCE, PPO, and a PPO that never learns, with learning curves over several seeds',
  example: 'cartpole --method reinforce,ppo --output attune-cartpole',
  schema,
  async run({ watch, open, ...settings }, { out, argv }) {
    if (watch && (out.json || !out.screen.live))
      throw badInput('no-terminal', 'needs a terminal; leave it out, or open the report for a replay', {
        flag: '--watch',
      })
    const { cartpole } = await import('../../labs/cartpole/lab.ts')
    const progress = watch ? undefined : progressLine(out.screen)
    const print = printEvent(out)
    const [method] = chosenMethods(settings)
    let view: ReturnType<typeof poleView> | undefined
    const lab = (signal: AbortSignal) => {
      if (watch) view = poleView(out.screen, methodNotes[method], signal)
      return cartpole({ ...settings, open }, { signal, command: ['attune', ...argv] })
    }
    const onEvent = async (event: CartpoleEvent) => {
      if (event.event === 'snapshot') {
        if (event.method === method && event.seed === settings.seed) view?.add(event)
        return
      }
      progress?.clear()
      if (out.json) return out.jsonLine(event)
      if (event.event === 'progress') return progress?.show(event)
      const last = event.event === 'result' || event.event === 'stopped'
      if (last) await view?.finish()
      // Lines would spoil the drawing of the pole
      if (!watch || last) await print(event)
    }
    await runLab(lab, {
      onEvent,
      reportOf: (event) => (event.event === 'result' ? event.files.report : undefined),
      open: open && !out.json,
      onStop: () => progress?.clear(),
    })
  },
})

/** A bar, if it can be redrawn; otherwise the lines of the runs are enough. */
const progressLine = (screen: Screen) => {
  const began = screen.now()
  const line = makeLiveLine(screen)
  return {
    show({ share, finished, runs }: Extract<CartpoleEvent, { event: 'progress' }>) {
      if (!screen.live) return
      const left = share > 0 ? ((screen.now() - began) / 1000) * (1 / share - 1) : 0
      const items = [{ label: '', text: `${finished} of ${plural(runs, 'run')}, ${duration(left)} left` }]
      line.draw(progressBar(screen, { head: percent(share), done: share, total: 1, items }))
    },
    clear: line.clear,
  }
}

const printEvent = (out: Output) => {
  const paint = painter({ color: out.toTerminal && out.screen.color })
  return eventPrinter<CartpoleEvent, 'progress' | 'snapshot'>({
    plan: ({ runs, jobs, output }) =>
      out.text(`${paint('bold', 'attune cartpole')}  ${shortPath(output)}\n  ${plural(runs, 'run')}, ${jobs} at once`),
    run: ({ method, seed, mean, steps, seconds }) =>
      out.text(
        `  ${`${method}-${seed}`.padEnd(22)}best ${mean.toFixed(1).padStart(5)} ${whole(steps).padStart(7)} steps ${whole(steps / seconds).padStart(7)}/s`,
      ),
    stopped: ({ finished, runs }) =>
      out.text(`  stopped with ${finished} of ${plural(runs, 'run')} done; nothing written`),
    result: ({ words, findings, files }) => {
      const rows = findings.map(({ method, runs, reached, solved, stepsPerSecond }) => [
        `  ${method}`,
        `${reached} of ${runs.length}`,
        `${solved} of ${runs.length}`,
        whole(stepsPerSecond),
      ])
      const head = ['  method', '475 at best', '475 in training', 'steps/s']
      const lines = [...words.map((text) => paragraph(text, out.columns(), 2)), '', columns([head, ...rows], [1, 2, 3])]
      return out.text(['', ...lines, '', reportLine(paint, files)].join('\n'))
    },
  })
}
