/** `attune demo`: the demo in three acts, with a few lines about each, and the result. */

import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { classShares } from '../../labs/demo/addition.ts'
import type { DemoEvent } from '../../labs/demo/demo.ts'
import { demoSchema, demoSizes } from '../../labs/demo/settings.ts'
import type { Share } from '../../statistics/intervals.ts'
import { percent, shellWord, whole } from '../../util/format.ts'
import { command } from '../command.ts'
import { columns, duration, paragraph, shortPath } from '../format.ts'
import { eventPrinter, runLab } from '../labEvents.ts'
import type { Output } from '../output.ts'
import { makeReporter, type Reporter } from '../reporter.ts'
import { makeScreen, type Paint, painter } from '../screen.ts'

const schema = demoSchema.extend({
  open: z
    .boolean()
    .default(true)
    .meta({ off: 'do not open the report in a browser' })
    .describe('open the report in a browser'),
})

export default command({
  summary: 'Show what alignment does, on a small model that is trained here: offline, in about a minute',
  example: 'demo --seed 7',
  schema,
  async run({ open, ...settings }, { out, argv }) {
    const { demo } = await import('../../labs/demo/demo.ts')
    const screen = out.json ? makeScreen(process.stderr, Boolean(process.stdout.isTTY)) : out.screen
    const bar = progress(() => makeReporter(screen, { logEvery: 100 }))
    const print = out.json ? (event: DemoEvent) => out.jsonLine(shortened(event)) : printEvent(out)
    try {
      await runLab((signal) => demo(settings, { signal, command: ['attune', ...argv] }), {
        async onEvent(event: DemoEvent) {
          bar.show(event)
          await print(event)
        },
        reportOf: (event) => (event.event === 'result' ? event.folder.report : undefined),
        open: open && !out.json,
        onStop: () => bar.note('  stopping; Ctrl-C again stops at once'),
      })
    } finally {
      bar.clear()
    }
  },
})

/** Bars and lines of steps, with a new reporter for each act. The other events of a recipe are in its run folder. */
const progress = (newReporter: () => Reporter) => {
  let report = newReporter()
  return {
    show(event: DemoEvent) {
      if (event.event === 'step' || event.event === 'progress') return report.show(event)
      if (event.event !== 'start' && event.event !== 'act') return report.clear()
      report.clear()
      report = newReporter()
    },
    note: (text: string) => report.note(text),
    clear: () => report.clear(),
  }
}

/** Without the long lists, which are in the folder of the demo. */
const shortened = (event: DemoEvent): object => {
  if (event.event === 'rankings') return { ...event, rankings: event.rankings.length }
  if (event.event === 'result') return { event: 'result', ...event.result, ...event.folder }
  return event
}

type ResultEvent = Extract<DemoEvent, { event: 'result' }>

const printEvent = (out: Output) => {
  const paint = painter({ color: out.toTerminal && out.screen.color })
  const began = performance.now()
  const share = ({ right, total, low, high }: Share) => {
    const [from, to] = [low, high].map((x) => (100 * x).toFixed(1))
    return `${whole(right)} of ${whole(total)} new sums right: ${paint('bold', percent(right / total))} (95 % interval ${from} to ${to})`
  }
  const printLines = (...texts: string[]) => out.text(texts.map((text) => paragraph(text, out.columns(), 3)).join('\n'))
  return eventPrinter<DemoEvent, Exclude<DemoEvent['event'], 'act' | 'accuracy' | 'rankings' | 'stopped' | 'result'>>({
    act: async ({ act }) => {
      if (act === 1) await out.text(paragraph(opening(paint), out.columns(), 0))
      const [title, text] = acts[act]
      await out.text(`\n${paint('bold', `${act}  ${title}`)}`)
      await printLines(paint('dim', text))
    },
    accuracy: ({ share: correct }) => printLines(`→ ${share(correct)}`),
    rankings: ({ rankings, asked }) => {
      const [{ prompt, responses }] = rankings
      return printLines(
        `→ ${whole(rankings.length)} rankings from ${whole(asked)} sums, such as`,
        `  ${prompt}   ${responses.join('  >  ')}`,
      )
    },
    stopped: () => printLines('stopped; run it again to start from the beginning'),
    result: (event) =>
      out.text(closing(event, paint, { seconds: (performance.now() - began) / 1000, width: out.columns() })),
  })
}

const opening = (paint: Paint) =>
  `${paint('bold', 'attune demo')}  ${paint('dim', 'what alignment does, on a small model that is trained here; offline, about a minute')}`

const { taught, students, ranked, samples } = demoSizes

/** The title of each act, and what happens in it. */
const acts: Record<1 | 2 | 3, readonly [title: string, text: string]> = {
  1: [
    'Learn by imitation (attune sft)',
    `A model with random weights reads ${whole(taught * students)} sums as a school class answers them: ${percent(classShares.right)} right, ${percent(classShares.close)} one too many, the rest wrong by ten. It learns to add, and to make the same mistakes.`,
  ],
  2: [
    'Rank its own answers (attune generate)',
    `It answers ${whole(ranked)} other sums, ${samples} times each. A checker ranks the different answers to a sum, the nearest first. In practice people or a larger model rank them.`,
  ],
  3: [
    'Align (attune dpo, Plackett-Luce)',
    'It learns from the rankings alone to give better answers a higher probability than worse ones.',
  ],
}

const shown = 6

const closing = (
  { result, tested, folder }: ResultEvent,
  paint: Paint,
  at: { seconds: number; width: number },
): string => {
  const mark = (answer: string, right: string) => `${answer} ${answer === right ? '✓' : '✗'}`
  const samples = tested
    .slice(0, shown)
    .map(({ prompt, right, before, after }) => [prompt, mark(before, right), mark(after, right)])
  const indented = (text: string) => text.replace(/^/gm, '   ')
  const { before, after, mended, spoiled } = result
  const name = shellWord(shortPath(folder.dpo))
  return [
    '',
    indented(columns([['sum', 'before', 'after'], ...samples])),
    '',
    paragraph(
      `Right before alignment ${paint('bold', percent(before.share))}, after it ${paint('bold', percent(after.share))}: ${whole(mended)} sums corrected, ${whole(spoiled)} made wrong.`,
      at.width,
      3,
    ),
    paragraph("None of these sums was trained on, and every ranked answer was the model's own.", at.width, 3),
    '',
    `   ${paint('dim', 'took'.padEnd(9))}${duration(at.seconds)}`,
    `   ${paint('dim', 'report'.padEnd(9))}${paint('cyan', pathToFileURL(folder.report).href)}`,
    `   ${paint('dim', 'next'.padEnd(9))}${paint('cyan', `attune generate --model ${name} --prompt "27+58=" --temperature 0`)}`,
    `   ${paint('dim', ''.padEnd(9))}${paint('cyan', 'attune dpo --model YOUR-MODEL --data rankings.jsonl --lora-r 16')}`,
  ].join('\n')
}
