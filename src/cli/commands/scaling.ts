/** `attune scaling`: the lab of scaling laws, with a progress line and a line for each finished training run. */

import { scalingSchema } from '../../labs/scaling/settings.ts'
import type { SweepEvent } from '../../labs/scaling/sweep.ts'
import { formatNumber, percent, plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { duration, paragraph, shortPath } from '../format.ts'
import { eventPrinter, reportLine, runLab } from '../labEvents.ts'
import type { Output } from '../output.ts'
import { makeLiveLine, painter, type Screen } from '../screen.ts'
import { recordedCommand, withWorkers } from '../workers.ts'

export default command({
  summary: 'Scaling laws: how the loss falls with compute, for several model sizes trained from scratch on addition',
  example: 'scaling --preset demo --output attune-scaling',
  schema: scalingSchema,
  async run(settings, { out, argv }) {
    const { sweep } = await import('../../labs/scaling/sweep.ts')
    const progress = progressLine(out.screen)
    const print = printEvent(out)
    try {
      await withWorkers(
        settings,
        { name: `scaling ${settings.output}`, note: progress.note, screen: out.screen },
        async (own, sharing) => {
          await runLab((signal) => sweep(own, { signal, command: recordedCommand(argv), sharing }), {
            async onEvent(event: SweepEvent) {
              if (out.json) return out.jsonLine(event)
              if (event.event === 'progress') return progress.show(progressText(event))
              progress.clear()
              await print(event)
            },
            reportOf: (event) => (event.event === 'result' ? event.files.report : undefined),
            open: settings.open && !out.json,
            onStop: () => progress.note('  stopping after the current steps; Ctrl-C again stops at once'),
          })
        },
      )
    } finally {
      progress.clear()
    }
  },
})

/** Milliseconds between two progress lines where a line cannot be redrawn. */
const repeatEvery = 10_000

/** The progress of the sweep: one line that is redrawn, or a new line now and then. */
const progressLine = (screen: Screen) => {
  const line = makeLiveLine(screen)
  let lastShown = Number.NEGATIVE_INFINITY
  return {
    show(text: string) {
      if (screen.live) return line.draw(text.slice(0, screen.columns() - 1))
      if (screen.now() - lastShown < repeatEvery) return
      lastShown = screen.now()
      screen.write(`${text}\n`)
    },
    note(text: string) {
      line.clear()
      screen.write(`${text}\n`)
    },
    clear: line.clear,
  }
}

const progressText = ({ share, finished, cells, eta, running }: Extract<SweepEvent, { event: 'progress' }>): string => {
  const left = eta === undefined ? '' : `  ${duration(eta)} left`
  const now = running.map(({ id, share: done }) => `${id} ${percent(done)}`).join(', ')
  return `  ${percent(share).padStart(5)}  ${finished} of ${plural(cells, 'cell')}${left}  ${now}`
}

const printEvent = (out: Output) => {
  const paint = painter({ color: out.toTerminal && out.screen.color })
  return eventPrinter<SweepEvent, 'progress'>({
    plan: ({ cells, finished, jobs, output }) =>
      out.text(
        `${paint('bold', 'attune scaling')}  ${shortPath(output)}\n  ${plural(cells, 'cell')}${finished ? `, ${finished} done already` : ''}, ${jobs} at once`,
      ),
    cell: ({ id, seconds, loss, exact }) =>
      out.text(
        `  ${id.padEnd(16)}loss ${formatNumber(loss).padEnd(9)} exact ${percent(exact).padEnd(6)} ${duration(seconds)}`,
      ),
    stopped: ({ finished, cells }) =>
      out.text(`  stopped with ${finished} of ${plural(cells, 'cell')} done; the same command continues`),
    result: ({ words, files }) =>
      out.text(
        ['', ...words.map((text) => paragraph(text, out.columns(), 2)), '', reportLine(paint, files)].join('\n'),
      ),
  })
}
