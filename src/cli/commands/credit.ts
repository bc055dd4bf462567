/** Which tokens and sentences of a reply earned its reward: coloured in a terminal, as JSON lines, and as a page. */

import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { openRows } from '../../data/openRows.node.ts'
import { openEncoder } from '../../generate/tokenization.node.ts'
import { type CreditRow, creditPage, strengths } from '../../labs/pages/credit.ts'
import { type Credit, type CreditResponse, creditOf, type Piece } from '../../recipes/reward/credit.ts'
import { unreadWarnings } from '../../recipes/trainer/dataset.ts'
import { engineFields, quantizeField } from '../../recipes/trainer/schema.ts'
import { writeText } from '../../report/files.node.ts'
import { openRewardModel } from '../../rewards/openModel.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { badInput } from '../../util/fault.ts'
import { diskFault, makeFolders } from '../../util/files.node.ts'
import { command } from '../command.ts'
import { figure, shortPath } from '../format.ts'
import { prepareRows } from '../prepareRows.ts'
import { creditInput } from '../rewardInputs.ts'
import { makeScreen } from '../screen.ts'
import { reporter } from '../terminal.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a reward model: a folder, a hub id or the name of a run'),
  adapter: z.string().optional().meta({ value: 'DIR' }).describe('a PEFT adapter of that model'),
  quantize: quantizeField,
  data: z.array(z.string()).min(1).meta({ value: 'FILE' }).describe('rows with prompts and replies; repeatable'),
  html: z.string().optional().meta({ value: 'FILE' }).describe('write a page with all replies'),
  maxSamples: z.number().int().positive().optional().describe('use the first so many rows'),
  device: engineFields.device,
  threads: engineFields.threads,
})

export default command({
  summary: 'Which tokens and sentences of a reply earned its reward',
  example: 'credit --model runs/rm --data answers.jsonl --html credit.html',
  schema,
  async run(options, { out }) {
    const report = reporter(out.screen, { logEvery: 1 })
    if (options.html !== undefined) await placeFor(options.html)
    const { maxSamples } = options
    const rows = await openRows(options.data, { resolve: resolveDataset, maxSamples })
    const onProgress = (at: { phase: 'download' | 'load'; done: number; total: number }) =>
      report.show({ event: 'progress', ...at })
    for (const { message } of unreadWarnings([rows])) report.note(message)
    const opened = await openRewardModel({ ...options, onProgress })
    const shown: CreditRow[] = []
    const { color } = makeScreen(process.stdout)
    if (out.readable) await out.text(legend(color))
    try {
      const { model, tokenizer } = opened
      const encoder = tokenizer ?? (await openEncoder(opened))
      const limits = { positions: model.config.max_position_embeddings, vocabulary: model.config.vocab_size }
      let i = 0
      for await (const { trunk, branches } of await prepareRows(
        rows,
        (row) => creditInput(encoder, row, limits),
        report,
      )) {
        const prompt = Array.from(trunk)
        const replies = branches.map((ids) => replyOf(Array.from(ids), prompt, tokenizer))
        const text = tokenizer ? tokenizer.decode(prompt, { skipSpecialTokens: true }) : prompt.join(' ')
        const credits = await creditOf(model, prompt, replies)
        for (const [k, credit] of credits.entries()) {
          const title = credits.length > 1 ? `row ${i}, reply ${k + 1} of ${credits.length}` : `row ${i}`
          if (options.html !== undefined) shown.push({ ...credit, title, prompt: text })
          report.clear()
          if (out.readable) await out.text(readable(title, credit, color))
          else await out.line(lineOf(credit))
        }
        report.show({ event: 'progress', phase: 'score', done: ++i, total: rows.length })
      }
      if (options.html !== undefined) {
        await writeText(options.html, creditPage(options.model, shown))
        report.note(`  page      ${shortPath(options.html)}`)
      }
    } finally {
      report.clear()
      await opened.close()
      await rows.close()
    }
  },
})

/** Told before anything is computed. */
/** Before anything is computed: its folder, and that it is no folder itself. */
const placeFor = async (path: string) => {
  await makeFolders(dirname(path)).catch((error) => {
    throw diskFault(error, path, undefined, badInput)
  })
  if ((await stat(path).catch(() => undefined))?.isDirectory())
    throw badInput('bad-flag', `${path} is a folder; give the name of a file`, { flag: '--html' })
}

/** Texts of the reply's tokens as they stand after the prompt's; ids where there is no tokenizer. */
const replyOf = (ids: number[], prompt: readonly number[], tokenizer: Tokenizer | undefined): CreditResponse => {
  if (!tokenizer) return { ids, texts: ids.map((id) => ` ${id}`), special: ids.map(() => false) }
  const stream = tokenizer.stream({ skipSpecialTokens: false })
  for (const id of prompt) stream.push(id)
  const texts = ids.map((id) => stream.push(id))
  const held = stream.flush()
  return {
    ids,
    texts: texts.map((text, t) => (t === ids.length - 1 ? text + held : text)),
    special: ids.map((id) => tokenizer.isSpecial(id)),
  }
}

const lineOf = ({ reward, sigma, before, tokens, segments }: Credit) => ({
  reward,
  ...(sigma !== undefined && { std: sigma }),
  before,
  tokens,
  segments,
})

const legend = (color: boolean): string =>
  color
    ? `${shade(1, 'green')} raises the reward, ${shade(-1, 'red')} lowers it; under a reply what each sentence earned\n`
    : 'in brackets how far a token moves the reward; under a reply what each sentence earned\n'

const readable = (title: string, { reward, before, tokens, segments }: Credit, color: boolean): string =>
  [
    `${title}: reward ${figure(reward)}, ${figure(before)} before the reply`,
    painted(tokens, color),
    ...(segments.length > 1
      ? segments.map(({ text, reward: own }) => `  ${figure(own).padStart(9)}  ${text.trim()}`)
      : []),
    '',
  ].join('\n')

/** Green raises the reward, red lowers it; the background is the deeper, the more. */
const painted = (pieces: readonly Piece[], color: boolean): string => {
  if (!color) return pieces.map(({ text, reward }) => `${text}(${figure(reward)})`).join('')
  return strengths(pieces)
    .map((strength, i) => shade(strength, pieces[i].text))
    .join('')
}

/** @param strength -1 to 1 */
const shade = (strength: number, text: string): string => {
  const depth = Math.round(Math.abs(strength) * 140)
  const rgb = strength < 0 ? `${30 + depth};30;30` : `30;${30 + depth};30`
  return `\u001b[48;2;${rgb}m\u001b[97m${text}\u001b[0m`
}
