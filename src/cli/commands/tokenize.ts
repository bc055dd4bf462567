/** `attune tokenize`: text to token ids and back, and conversations to prompts. One JSON line per text. */
import { z } from 'zod'
import { turnsFor } from '../../data/examples.ts'
import { openRows } from '../../data/openRows.node.ts'
import type { Row } from '../../data/rows.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import { loadTokenizerFolder, noTokenizer } from '../../text/tokenizer.node.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { atPlace, badInput, type Where } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import { type Context, command } from '../command.ts'

const schema = z.object({
  model: z
    .string()
    .meta({ value: 'MODEL' })
    .describe('the model whose tokenizer to use: a folder, a hub id or the name of a run'),
  text: z.array(z.string()).optional().meta({ value: 'TEXT' }).describe('text to tokenize; repeatable'),
  data: z
    .array(z.string())
    .optional()
    .meta({ value: 'FILE' })
    .describe('rows with a column "text" to tokenize; repeatable'),
  decode: z.string().optional().meta({ value: 'IDS' }).describe('token ids to decode: 1,2,3'),
  chat: z
    .array(z.string())
    .optional()
    .meta({ value: 'FILE' })
    .describe('rows with messages to render by the chat template and tokenize'),
  addGenerationPrompt: z
    .boolean()
    .default(false)
    .describe("with --chat: add the beginning of the assistant's turn at the end"),
  specialTokens: z
    .boolean()
    .default(true)
    .meta({ off: 'do not add special tokens such as BOS and EOS' })
    .describe('add the special tokens that the tokenizer adds to a text'),
})
type Options = z.output<typeof schema>

export default command({
  summary: 'Convert text to token ids and back, and conversations to prompts by the chat template',
  example: 'tokenize --model HuggingFaceTB/SmolLM2-135M --text "Once upon a time"',
  schema,
  async run(options, context) {
    const tokenizer = await open(options.model)
    if (options.decode !== undefined) return decode(tokenizer, options.decode, context)
    if (options.chat) return chat(tokenizer, options, context)
    if (!options.text && !options.data)
      throw badInput('bad-flag', 'nothing to tokenize; give --text, --data, --chat or --decode')
    const encode = (text: string) => context.out.jsonLine(tokenizer.encode(text, options))
    for (const text of options.text ?? []) await encode(text)
    if (options.data)
      for await (const { row, where } of rowsOf(options.data)) await encode(atPlace(where, () => plainText(row)))
  },
})

const open = async (model: string): Promise<Tokenizer> => {
  const { dir, adapter } = await resolveModel({ model })
  const tokenizer = await loadTokenizerFolder(dir, adapter)
  if (tokenizer) return tokenizer
  throw noTokenizer(dir)
}

const decode = (tokenizer: Tokenizer, text: string, { out }: Context) => {
  const ids = text.split(/[\s,[\]]+/).filter(Boolean)
  const bad = ids.find((id) => !/^\d+$/.test(id) || tokenizer.idToToken(Number(id)) === undefined)
  if (bad !== undefined)
    throw badInput(
      'bad-flag',
      `${quoted(bad)} is not a token id of this tokenizer; its ids are below ${tokenizer.size}`,
      {
        flag: '--decode',
      },
    )
  return out.jsonLine({ text: tokenizer.decode(ids.map(Number)) })
}

const chat = async ({ chat: template }: Tokenizer, options: Options, { out }: Context) => {
  if (!template) throw badInput('no-template', 'has no chat template', { file: options.model })
  for await (const { row, where } of rowsOf(options.chat!)) {
    const { text, ids, assistantMask } = atPlace(where, () => {
      if (row.kind !== 'messages') throw badInput('wrong-kind', `rows of the kind "${row.kind}" are not conversations`)
      const turns = turnsFor(template, row.messages, row.template)
      return template.encode(turns, { ...row.template, ...options })
    })
    await out.jsonLine({ text, ids, assistant_mask: assistantMask ?? null })
  }
}

async function* rowsOf(files: string[]): AsyncGenerator<{ row: Row; where: Where }> {
  const rows = await openRows(files)
  try {
    for (let i = 0; i < rows.length; i++) yield { row: await rows.row(i), where: rows.where(i) }
  } finally {
    await rows.close()
  }
}

const plainText = (row: Row): string => {
  if (row.kind === 'text' && typeof row.text === 'string') return row.text
  throw badInput('wrong-kind', `rows must hold "text", these are of the kind "${row.kind}"; conversations go to --chat`)
}
