/** What the commands of the labs share: running a lab to its end, printing its events, and opening its report. */
import { pathToFileURL } from 'node:url'
import type { ProgressEvent } from '../runs/events.ts'
import { openInBrowser } from './browser.ts'
import { interruptible } from './interrupt.ts'
import type { Reporter, WorkWords } from './reporter.ts'
import type { Paint } from './screen.ts'

type LabEvent = { event: string }

type LabOptions<E> = {
  onEvent(event: E): Promise<void>
  /** The path of the report, if this event says that it is written. */
  reportOf(event: E): string | undefined
  /** Whether to open the report in a browser. */
  open: boolean
  /** Called when Ctrl-C asks the lab to stop. */
  onStop(): void
}

/** Runs a lab. Ctrl-C asks it to stop; after an event `stopped` the exit code is 130. */
export const runLab = <E extends LabEvent>(
  lab: (signal: AbortSignal) => AsyncIterable<E>,
  { onEvent, reportOf, open, onStop }: LabOptions<E>,
): Promise<void> =>
  interruptible(async (signal) => {
    for await (const event of lab(signal)) {
      await onEvent(event)
      if (event.event === 'stopped') process.exitCode = 130
      const report = reportOf(event)
      if (report !== undefined && open) await openInBrowser(report)
    }
  }, onStop)

/** Runs a lab whose command continues what was stopped: progress is a line that moves, everything else is printed. */
export const runLabWithProgress = async <E extends LabEvent>(
  lab: (signal: AbortSignal) => AsyncIterable<E>,
  {
    bar,
    print,
    words,
    ...options
  }: Pick<LabOptions<E>, 'reportOf' | 'open'> & {
    bar: Reporter
    print(event: E): Promise<void> | void
    /** What is said beside an event of progress. */
    words?(event: Extract<E, { event: 'progress' }>): WorkWords
  },
): Promise<void> => {
  try {
    await runLab(lab, {
      ...options,
      async onEvent(event) {
        if (event.event === 'progress')
          return bar.show(event as unknown as ProgressEvent, words?.(event as Extract<E, { event: 'progress' }>))
        bar.clear()
        await print(event)
      },
      onStop: () => bar.note('  stopping; the same command continues'),
    })
  } finally {
    bar.clear()
  }
}

/** A function for each kind of event that is printed; those of the kinds `Silent` are not. */
export type EventPrinters<T extends LabEvent, Silent extends T['event']> = {
  [E in Exclude<T['event'], Silent>]: (event: Extract<T, { event: E }>) => Promise<void>
}

/** @returns a function that prints an event with the printer of its kind, or nothing where there is none */
export const eventPrinter =
  <T extends LabEvent, Silent extends T['event']>(printers: EventPrinters<T, Silent>) =>
  async (event: T): Promise<void> => {
    if (event.event in printers) await printers[event.event as keyof typeof printers](event as never)
  }

/** The last line that a lab prints. */
export const reportLine = (paint: Paint, { report }: { report: string }): string =>
  `  report    ${paint('cyan', pathToFileURL(report).href)}`
