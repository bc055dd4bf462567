/** The scaling-law lab, as one watches it: a line of progress with what is left, and a line for each finished cell. */
import { pathToFileURL } from 'node:url'
import { scalingSchema } from '../../labs/scaling/settings.ts'
import type { SweepEvent } from '../../labs/scaling/sweep.ts'
import { percent, plural } from '../../util/format.ts'
import { openInBrowser } from '../browser.ts'
import { command } from '../command.ts'
import { duration, figure, shortPath } from '../format.ts'
import { interruptible } from '../interrupt.ts'
import type { Output } from '../output.ts'
import { painter, type Screen } from '../screen.ts'

export default command({
  summary: 'Measure how the loss falls with compute, for several model sizes trained from scratch on addition',
  example: 'scaling --preset demo --output attune-scaling',
  schema: scalingSchema,
  async run(settings, { out, argv }) {
    const { sweep } = await import('../../labs/scaling/sweep.ts')
    const board = progressLine(out.screen)
    const print = out.json ? (event: SweepEvent) => out.line(event) : narrator(out, board)
    try {
      await interruptible(
        async (signal) => {
          for await (const event of sweep(settings, { signal, command: ['attune', ...argv] })) {
            if (event.event === 'progress' && !out.json) board.show(progressText(event))
            else await print(event)
            if (event.event === 'stopped') process.exitCode = 130
            if (event.event === 'result' && settings.open && !out.json) await openInBrowser(event.files.report)
          }
        },
        () => board.note('  stopping after the steps under way; again to stop at once'),
      )
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

type Told<E extends SweepEvent['event']> = Extract<SweepEvent, { event: E }>

const progressText = ({ share, finished, cells, eta, running }: Told<'progress'>): string => {
  const left = eta === undefined ? '' : `  ${duration(eta)} left`
  const now = running.map(({ id, share: part }) => `${id} ${percent(part)}`).join(', ')
  return `  ${percent(share).padStart(5)}  ${finished} of ${plural(cells, 'cell')}${left}  ${now}`
}

const narrator = (out: Output, board: ReturnType<typeof progressLine>) => {
  const paint = painter({ color: out.readable && out.screen.color })
  const tell: { [E in Exclude<SweepEvent['event'], 'progress'>]: (event: Told<E>) => Promise<void> } = {
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
      out.text(
        [
          '',
          ...words.map((text) => `  ${text}`),
          '',
          `  report    ${paint('cyan', pathToFileURL(files.report).href)}`,
        ].join('\n'),
      ),
  }
  return (event: SweepEvent) => {
    board.clear()
    return tell[event.event as Exclude<SweepEvent['event'], 'progress'>](event as never)
  }
}
