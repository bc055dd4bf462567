/** `attune demo`: the acts of the demo, with a few lines about each, and the result. */
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { classShares } from '../../labs/demo/addition.ts'
import type { DemoEvent } from '../../labs/demo/demo.ts'
import { alignmentRows, gainText, limitText } from '../../labs/demo/result.ts'
import { demoSchema, demoSizes } from '../../labs/demo/settings.ts'
import type { Share } from '../../statistics/intervals.ts'
import { percent, shellWord, whole } from '../../util/format.ts'
import { command } from '../command.ts'
import { columns, commandLines, duration, paragraph, shortPath, wrapped } from '../format.ts'
import { eventPrinter, runLab } from '../labEvents.ts'
import type { Output } from '../output.ts'
import { makeReporter, type Reporter } from '../reporter.ts'
import { makeScreen, type Paint, painter } from '../screen.ts'
import { shareBars } from '../shareBars.ts'

const schema = demoSchema.extend({
  open: z
    .boolean()
    .default(true)
    .meta({ off: 'do not open the report in a browser' })
    .describe('open the report in a browser'),
})

export default command({
  summary: 'See a small model aligned by rankings, by SPIN and by aSFT: trained here, offline, in about a minute',
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
  return eventPrinter<
    DemoEvent,
    Exclude<DemoEvent['event'], 'act' | 'accuracy' | 'rankings' | 'answers' | 'stopped' | 'result'>
  >({
    act: async ({ act }) => {
      if (act === 1) await out.text(paragraph(opening(paint), out.columns(), 0))
      const [title, text] = acts[act]
      if (act === 4) await out.text(`\n${paragraph(beside(paint), out.columns(), 0)}`)
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
    answers: ({ answers }) => out.text(`\n${answersTable(answers)}`),
    stopped: () => printLines('stopped; run it again to start from the beginning'),
    result: (event) =>
      out.text(closing(event, paint, { seconds: (performance.now() - began) / 1000, width: out.columns() })),
  })
}

const opening = (paint: Paint) =>
  `${paint('bold', 'attune demo')}  ${paint('dim', 'what alignment does, on a small model that is trained here; offline, about a minute')}`

const beside = (paint: Paint) =>
  `${paint('bold', 'Beside it')}  ${paint('dim', 'the model of step 1 once more, and instead of rankings the right answers to the same sums, used in three ways')}`

const { taught, students, ranked, samples } = demoSizes

/** The title of each act, and what happens in it. */
const acts: Record<Extract<DemoEvent, { event: 'act' }>['act'], readonly [title: string, text: string]> = {
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
  4: [
    'Imitate them (attune sft)',
    `It learns to say the ${whole(ranked)} right answers, as it learned from the class.`,
  ],
  5: [
    'Prefer them to its own (SPIN, attune spin)',
    'It answers the sums itself and learns to rank the right answer above its own; then once more with its new answers. Nobody ranks anything.',
  ],
  6: [
    'The same with a helper (aSFT, attune asft)',
    'Between the right answer and its own it ranks that of a better model. Here the model of step 3 helps; in practice a larger one.',
  ],
}

const answersTable = (answers: Extract<DemoEvent, { event: 'answers' }>['answers']): string => {
  const mark = (answer: string, right: string) => `${answer} ${answer === right ? '✓' : '✗'}`
  const rows = answers.map(({ prompt, right, before, after }) => [prompt, mark(before, right), mark(after, right)])
  return indented(columns([['sum', 'before', 'after'], ...rows]))
}

const indented = (text: string) => text.replace(/^/gm, '   ')

const closing = ({ result, folder }: ResultEvent, paint: Paint, at: { seconds: number; width: number }): string => {
  const { before, kinds, sizes } = result
  const rows = alignmentRows(result)
  const time = (seconds: number) => `${seconds.toFixed(0)} s`
  const label = (name: string) => `   ${paint('dim', name.padEnd(8))}`
  const line = (name: string, text: string) => label(name) + wrapped(text, Math.min(at.width - 1, 100), 11)
  const costs = [
    ['before', `${whole(sizes.taught * sizes.students)} of the class`, time(result.seconds.learn)],
    ...rows.map(({ name, learnedFrom, seconds }) => [name, learnedFrom, time(seconds)]),
  ]
  const next = (note: string, text: string) =>
    `   ${paint('dim', `# ${note}`)}\n${paint('cyan', commandLines(text, at.width, 3))}`
  const bars = [
    { name: 'before', share: before, style: 'yellow' as const },
    ...rows.map(({ name, outcome }) => ({ name, share: outcome.after, style: 'green' as const })),
  ]
  return [
    '',
    paint('bold', `Right answers to ${whole(before.total)} new sums, with 95 % intervals`),
    '',
    indented(shareBars(bars, at.width - 4, paint)),
    '',
    line(
      'wrong',
      `${whole(kinds.before.close)} of the ${whole(before.total - before.right)} wrong answers were one off, the mistake that the class had taught.`,
    ),
    line(
      'done',
      `The model was trained further in four ways, each time from the same weights. None of the ${whole(before.total)} sums was trained on.`,
    ),
    line('result', `${gainText(result)} ${limitText}`),
    label('cost') + columns(costs, [2]).replaceAll('\n', `\n${' '.repeat(11)}`),
    line('took', duration(at.seconds)),
    line('report', paint('cyan', pathToFileURL(folder.report).href)),
    '',
    paint('bold', 'Next'),
    '',
    next(
      'ask the aligned model',
      `attune generate --model ${shellWord(shortPath(folder.dpo))} --prompt "27+58=" --temperature 0`,
    ),
    ...yours.map(([note, text]) => next(note, text)),
    '',
    paragraph(
      paint(
        'dim',
        'In a clone write node bin/attune.js for attune. MODEL is a folder, a name of the Hugging Face hub, or a run.',
      ),
      at.width,
      3,
    ),
  ].join('\n')
}

/** What to type with data of one's own. */
const yours = [
  ['you have ranked answers', 'attune dpo --model MODEL --data rankings.jsonl --lora-r 16'],
  ['you have good answers', 'attune sft --model MODEL --data answers.jsonl --lora-r 16'],
  [
    'the same, and the model has learned from them already',
    'attune spin --model MODEL --data answers.jsonl --lora-r 16',
  ],
  ['the same, and a larger model', 'attune asft --model MODEL --data answers.jsonl --helper LARGER'],
] as const
