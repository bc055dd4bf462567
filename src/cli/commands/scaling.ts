/** The scaling-law lab, as one watches it: a line of progress with what is left, and a line for each finished cell. */
import { scalingSchema } from '../../labs/scaling/settings.ts'
import type { SweepEvent } from '../../labs/scaling/sweep.ts'
import { percent, plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { duration, figure, shortPath } from '../format.ts'
import { followLab, narrator, reportLine } from '../lab.ts'
import type { Output } from '../output.ts'
import { painter, type Screen } from '../screen.ts'

export default command({
  summary: 'Measure how the loss falls with compute, for several model sizes trained from scratch on addition',
  example: 'scaling --preset demo --output attune-scaling',
  schema: scalingSchema,
  async run(settings, { out, argv }) {
    const { sweep } = await import('../../labs/scaling/sweep.ts')
    const board = progressLine(out.screen)
    const tell = narration(out)
    const each = async (event: SweepEvent) => {
      if (out.json) return out.line(event)
      if (event.event === 'progress') return board.show(progressText(event))
      board.clear()
      await tell(event)
    }
    try {
      await followLab((signal) => sweep(settings, { signal, command: ['attune', ...argv] }), {
        ...{ each, open: settings.open && !out.json },
        stopping: () => board.note('  stopping after the steps under way; again to stop at once'),
      })
    } finally {
      board.clear()
    }
  },
})

/** Between two lines where nothing can be redrawn, milliseconds. */
const repeatEvery = 10_000

const progressLine = (screen: Screen) => {
  let last = Number.NEGATIVE_INFINITY
  let drawn = false
  const clear = () => {
    if (drawn) screen.write('\r\u001b[2K')
    drawn = false
  }
  return {
    show(text: string) {
      if (!screen.live && screen.now() - last < repeatEvery) return
      last = screen.now()
      screen.write(screen.live ? `\r\u001b[2K${text.slice(0, screen.columns() - 1)}` : `${text}\n`)
      drawn = screen.live
    },
    note(text: string) {
      clear()
      screen.write(`${text}\n`)
    },
    clear,
  }
}

const progressText = ({ share, finished, cells, eta, running }: Extract<SweepEvent, { event: 'progress' }>): string => {
  const left = eta === undefined ? '' : `  ${duration(eta)} left`
  const now = running.map(({ id, share: part }) => `${id} ${percent(part)}`).join(', ')
  return `  ${percent(share).padStart(5)}  ${finished} of ${plural(cells, 'cell')}${left}  ${now}`
}

const narration = (out: Output) => {
  const paint = painter({ color: out.readable && out.screen.color })
  return narrator<SweepEvent, 'progress'>({
    plan: ({ cells, finished, jobs, output }) =>
      out.text(
        `${paint('bold', 'attune scaling')}  ${shortPath(output)}\n  ${plural(cells, 'cell')}${finished ? `, ${finished} done already` : ''}, ${jobs} at once`,
      ),
    cell: ({ id, seconds, loss, exact }) =>
      out.text(
        `  ${id.padEnd(16)}loss ${figure(loss).padEnd(9)} exact ${percent(exact).padEnd(6)} ${duration(seconds)}`,
      ),
    stopped: ({ finished, cells }) =>
      out.text(`  stopped with ${finished} of ${plural(cells, 'cell')} done; the same command goes on`),
    result: ({ words, files }) =>
      out.text(['', ...words.map((text) => `  ${text}`), '', reportLine(paint, files)].join('\n')),
  })
}
