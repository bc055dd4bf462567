/** The demo, as one watches it: a few lines an act, and what it comes to. */
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { classShares } from '../../labs/demo/addition.ts'
import type { DemoEvent } from '../../labs/demo/demo.ts'
import { demoSchema, demoSizes } from '../../labs/demo/settings.ts'
import type { Share } from '../../statistics/intervals.ts'
import { percent, whole } from '../../util/format.ts'
import { openInBrowser } from '../browser.ts'
import { command } from '../command.ts'
import { columns, duration, shellWord, shortPath } from '../format.ts'
import { interruptible } from '../interrupt.ts'
import type { Output } from '../output.ts'
import { makeScreen, painter } from '../screen.ts'
import { type Reporter, reporter } from '../terminal.ts'

const schema = demoSchema.extend({
  open: z.boolean().default(true).meta({ off: 'leave the report closed' }).describe('open the report in a browser'),
})

export default command({
  summary: 'Show what alignment does, on a small model that is made here: offline, in about a minute',
  example: 'demo --seed 7',
  schema,
  async run({ open, ...settings }, { out, argv }) {
    const { demo } = await import('../../labs/demo/demo.ts')
    const screen = out.json ? makeScreen(process.stderr, Boolean(process.stdout.isTTY)) : out.screen
    const bar = progress(() => reporter(screen, { logEvery: 100 }))
    const print = out.json ? (event: DemoEvent) => out.line(forPrograms(event)) : narrator(out)
    try {
      await interruptible(
        async (signal) => {
          for await (const event of demo(settings, { signal, command: ['attune', ...argv] })) {
            bar.show(event)
            await print(event)
            if (event.event === 'stopped') process.exitCode = 130
            if (event.event === 'result' && open && !out.json) await openInBrowser(event.folder.report)
          }
        },
        () => bar.note('  stopping; again to stop at once'),
      )
    } finally {
      bar.clear()
    }
  },
})

/** Bars and step lines, of each act anew; what else a recipe says of itself is in its run folder. */
const progress = (begin: () => Reporter) => {
  let report = begin()
  return {
    show(event: DemoEvent) {
      if (event.event === 'step' || event.event === 'progress') return report.show(event)
      if (event.event !== 'start' && event.event !== 'act') return report.clear()
      report.clear()
      report = begin()
    },
    note: (text: string) => report.note(text),
    clear: () => report.clear(),
  }
}

/** What is long stands in the folder. */
const forPrograms = (event: DemoEvent): object => {
  if (event.event === 'rankings') return { ...event, rankings: event.rankings.length }
  if (event.event === 'result') return { event: 'result', ...event.result, ...event.folder }
  return event
}

type Told<E extends DemoEvent['event']> = Extract<DemoEvent, { event: E }>

const narrator = (out: Output) => {
  const paint = painter({ color: out.readable && out.screen.color })
  const began = performance.now()
  const share = ({ right, total, low, high }: Share) => {
    const [from, to] = [low, high].map((x) => (100 * x).toFixed(1))
    return `${whole(right)} of ${whole(total)} new sums right: ${paint('bold', percent(right / total))} (95 % interval ${from} to ${to})`
  }
  const say = (...lines: string[]) => out.text(lines.map((line) => (line ? `   ${line}` : '')).join('\n'))
  const tell = {
    act: async ({ act }: Told<'act'>) => {
      if (act === 1) await out.text(opening(paint))
      const [title, ...lines] = acts[act]
      await out.text(`\n${paint('bold', `${act}  ${title}`)}`)
      await say(...lines.map((line) => paint('dim', line)))
    },
    accuracy: ({ share: counted }: Told<'accuracy'>) => say(`→ ${share(counted)}`),
    rankings: ({ rankings, asked }: Told<'rankings'>) => {
      const [{ prompt, responses }] = rankings
      return say(
        `→ ${whole(rankings.length)} rankings from ${whole(asked)} sums, such as`,
        `  ${prompt}   ${responses.join('  >  ')}`,
      )
    },
    stopped: () => say('stopped; run it again to begin anew'),
    result: (event: Told<'result'>) => out.text(closing(event, paint, (performance.now() - began) / 1000)),
  }
  return async (event: DemoEvent) => {
    if (event.event in tell) await tell[event.event as keyof typeof tell](event as never)
  }
}

type Paint = ReturnType<typeof painter>

const opening = (paint: Paint) =>
  `${paint('bold', 'attune demo')}  ${paint('dim', 'what alignment does, on a model that is made here; offline, about a minute')}`

const { taught, students, ranked, samples } = demoSizes

/** A title, and what happens. */
const acts: Record<1 | 2 | 3, readonly string[]> = {
  1: [
    'Learn by imitation (attune sft)',
    `A model of random numbers reads ${whole(taught * students)} sums as a class answers them: ${percent(classShares.right)} right,`,
    `${percent(classShares.close)} one too many, the rest a ten off. It learns to add, and to err.`,
  ],
  2: [
    'Compare its own answers (attune generate)',
    `It answers ${whole(ranked)} other sums, ${samples} times each. A checker puts the different answers to a sum`,
    'in order, the nearest first. People or a larger model would do so elsewhere.',
  ],
  3: [
    'Align (attune dpo, Plackett-Luce)',
    'It learns to find better answers likelier than worse ones, from the order alone.',
  ],
}

const shown = 6

const closing = ({ result, tested, folder }: Told<'result'>, paint: Paint, seconds: number): string => {
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
    `   Right before alignment ${paint('bold', percent(before.share))}, after it ${paint('bold', percent(after.share))}: ${whole(mended)} sums mended, ${whole(spoiled)} spoiled.`,
    "   None of these sums was in any step, and every answer that was ranked was the model's own.",
    '',
    `   ${paint('dim', 'took'.padEnd(9))}${duration(seconds)}`,
    `   ${paint('dim', 'report'.padEnd(9))}${paint('cyan', pathToFileURL(folder.report).href)}`,
    `   ${paint('dim', 'next'.padEnd(9))}${paint('cyan', `attune generate --model ${name} --prompt "27+58=" --temperature 0`)}`,
    `   ${paint('dim', ''.padEnd(9))}${paint('cyan', 'attune dpo --model YOUR-MODEL --data rankings.jsonl --lora-r 16')}`,
  ].join('\n')
}
