/** What the labs' commands share: work until it is stopped, what is said of each event, and the report at the end. */
import { pathToFileURL } from 'node:url'
import { openInBrowser } from './browser.ts'
import { interruptible } from './interrupt.ts'
import type { painter } from './screen.ts'

type LabEvent = { event: string; files?: { report: string } }

/** @param open the report in a browser   @param stopping what to do when one asks it to stop */
export const followLab = <E extends LabEvent>(
  work: (signal: AbortSignal) => AsyncIterable<E>,
  { each, open, stopping }: { each(event: E): Promise<void>; open: boolean; stopping(): void },
): Promise<void> =>
  interruptible(async (signal) => {
    for await (const event of work(signal)) {
      await each(event)
      if (event.event === 'stopped') process.exitCode = 130
      if (event.files && open) await openInBrowser(event.files.report)
    }
  }, stopping)

/** What is said of each kind of event. */
export type Narration<T extends LabEvent, Silent extends T['event']> = {
  [E in Exclude<T['event'], Silent>]: (event: Extract<T, { event: E }>) => Promise<void>
}

export const narrator =
  <T extends LabEvent, Silent extends T['event']>(tell: Narration<T, Silent>) =>
  async (event: T): Promise<void> => {
    if (event.event in tell) await tell[event.event as keyof typeof tell](event as never)
  }

export const reportLine = (paint: ReturnType<typeof painter>, { report }: { report: string }): string =>
  `  report    ${paint('cyan', pathToFileURL(report).href)}`
