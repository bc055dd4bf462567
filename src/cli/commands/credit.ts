/** `attune credit`: how much each token and sentence of a completion adds to its reward, coloured, as JSON lines or as a page. */

import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { openRows } from '../../data/openRows.node.ts'
import { idsOnly, requireTemplate } from '../../generate/tokenization.node.ts'
import { type CreditRow, creditPage, strengths } from '../../labs/pages/credit.ts'
import { creditInput } from '../../library/scoreInputs.ts'
import { type Credit, type CreditResponse, creditOf, type Piece } from '../../recipes/reward/credit.ts'
import { unreadWarnings } from '../../recipes/trainer/dataset.ts'
import { dataFields } from '../../recipes/trainer/fields.ts'
import { writeText } from '../../report/files.node.ts'
import { openRewardModel } from '../../rewards/modelReward.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { badInput } from '../../util/fault.ts'
import { diskFault, makeFolders } from '../../util/files.node.ts'
import { formatNumber } from '../../util/format.ts'
import { chatField, chatOf } from '../chatFlag.ts'
import { checkedRows } from '../checkedRows.ts'
import { command } from '../command.ts'
import { shortPath } from '../format.ts'
import { adapterFlag, engineFlags, modelFlags } from '../modelFlags.ts'
import { makeReporter } from '../reporter.ts'
import { makeScreen, onBackground } from '../screen.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a reward model: a folder, a hub id or the name of a run'),
  adapter: adapterFlag,
  quantize: modelFlags.quantize,
  compute: modelFlags.compute,
  data: z.array(z.string()).min(1).meta({ value: 'FILE' }).describe('rows with prompts and completions; repeatable'),
  column: dataFields.column,
  chat: chatField("read plain rows as a chat: a prompt is the user's message and a completion the assistant's"),
  html: z.string().optional().meta({ value: 'FILE' }).describe('also write an HTML page with all completions'),
  maxSamples: z.number().int().positive().optional().describe('use only the first N rows'),
  ...engineFlags,
})

export default command({
  summary: 'Credit assignment: how much each token and sentence of a completion adds to its reward',
  example: 'credit --model REWARD-MODEL --data ROWS.jsonl --html credit.html',
  schema,
  async run(options, { out }) {
    out.noteJsonLines()
    const report = makeReporter(out.screen, { logEvery: 1 })
    if (options.html !== undefined) await checkPagePath(options.html)
    const { maxSamples } = options
    const chat = await chatOf(options, report.note)
    const rows = await openRows(options.data, { columns: options.column, chat, resolve: resolveDataset, maxSamples })
    const onProgress = (at: { phase: 'download' | 'load'; done: number; total: number }) =>
      report.show({ event: 'progress', ...at })
    for (const { message } of unreadWarnings([rows])) report.note(message)
    const opened = await openRewardModel({ ...options, onProgress })
    const shown: CreditRow[] = []
    const { color } = makeScreen(process.stdout)
    if (out.toTerminal) await out.text(legend(color))
    try {
      const { model, tokenizer } = opened
      if (chat) requireTemplate(tokenizer, opened.dir)
      const encoder = tokenizer ?? idsOnly(opened.dir)
      const limits = { positions: model.config.max_position_embeddings, vocabulary: model.config.vocab_size }
      const inputs = await checkedRows(rows, (row) => creditInput(encoder, row, limits), report)
      let i = 0
      for await (const { trunk, branches } of inputs) {
        const prompt = Array.from(trunk)
        const completions = branches.map((ids) => completionOf(Array.from(ids), prompt, tokenizer))
        const text = tokenizer ? tokenizer.decode(prompt, { skipSpecialTokens: true }) : prompt.join(' ')
        const credits = await creditOf(model, prompt, completions)
        for (const [k, credit] of credits.entries()) {
          const title = credits.length > 1 ? `row ${i}, response ${k + 1} of ${credits.length}` : `row ${i}`
          if (options.html !== undefined) shown.push({ ...credit, title, prompt: text })
          report.clear()
          if (out.toTerminal) await out.text(creditText(title, credit, color))
          else await out.jsonLine(creditLine(credit))
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

/** Makes the folder of the page, and refuses a path that is a folder itself, before anything is computed. */
const checkPagePath = async (path: string) => {
  await makeFolders(dirname(path)).catch((error) => {
    throw diskFault(error, path, undefined, badInput)
  })
  if ((await stat(path).catch(() => undefined))?.isDirectory())
    throw badInput('bad-flag', `${path} is a folder; give the name of a file`, { flag: '--html' })
}

/** The completion's tokens with their texts as they follow the prompt; their ids if there is no tokenizer. */
const completionOf = (ids: number[], prompt: readonly number[], tokenizer: Tokenizer | undefined): CreditResponse => {
  if (!tokenizer) return { ids, texts: ids.map((id) => ` ${id}`), special: ids.map(() => false) }
  const stream = tokenizer.stream({ skipSpecialTokens: false })
  for (const id of prompt) stream.push(id)
  const texts = ids.map((id) => stream.push(id))
  const rest = stream.flush()
  return {
    ids,
    texts: texts.map((text, t) => (t === ids.length - 1 ? text + rest : text)),
    special: ids.map((id) => tokenizer.isSpecial(id)),
  }
}

const creditLine = ({ reward, sigma, before, tokens, segments }: Credit) => ({
  reward,
  ...(sigma !== undefined && { std: sigma }),
  before,
  tokens,
  segments,
})

const legend = (color: boolean): string =>
  color
    ? `${shade(1, 'green')} raises the reward, ${shade(-1, 'red')} lowers it; below each completion what its sentences add\n`
    : 'in brackets what each token adds to the reward; below each completion what its sentences add\n'

const creditText = (title: string, { reward, before, tokens, segments }: Credit, color: boolean): string =>
  [
    `${title}: reward ${formatNumber(reward)}, ${formatNumber(before)} of the prompt alone`,
    colouredTokens(tokens, color),
    ...(segments.length > 1
      ? segments.map(({ text, reward: own }) => `  ${formatNumber(own).padStart(9)}  ${text.trim()}`)
      : []),
    '',
  ].join('\n')

/** Green tokens raise the reward, red ones lower it; a deeper colour means more. */
const colouredTokens = (pieces: readonly Piece[], color: boolean): string => {
  if (!color) return pieces.map(({ text, reward }) => `${text}(${formatNumber(reward)})`).join('')
  return strengths(pieces)
    .map((strength, i) => shade(strength, pieces[i].text))
    .join('')
}

/** @param strength -1 to 1 */
const shade = (strength: number, text: string): string => {
  const depth = 30 + Math.round(Math.abs(strength) * 140)
  return strength < 0 ? onBackground(depth, 30, 30, text) : onBackground(30, depth, 30, text)
}
