/**
 * `attune export`: a model as GGUF for llama.cpp or as ONNX for transformers.js; rows for labelling tools and for other
 * programs that train.
 */
import { z } from 'zod'
import { type ExportTarget, exportTargets } from '../../feedback/votes/exportTargets.ts'
import { convertToGguf, convertToOnnx, type GgufSettings } from '../../publish/convertModel.ts'
import { ggufFormats } from '../../publish/ggufFormats.ts'
import type { Check } from '../../publish/verify/compare.ts'
import type { VerifySettings } from '../../publish/verify/verifyGguf.ts'
import { dataFields } from '../../recipes/trainer/fields.ts'
import { badInput } from '../../util/fault.ts'
import { plural, whole } from '../../util/format.ts'
import { type Context, command } from '../command.ts'
import { columns, countsText, bytes as fileSize, shortPath } from '../format.ts'
import { refuseProject, serverFields, serverOf } from '../labelStudioFlags.ts'
import { modelFlag } from '../modelFlags.ts'
import type { Output } from '../output.ts'

const schema = z.object({
  files: z
    .array(z.string())
    .default([])
    .meta({ value: 'FILE' })
    .describe('with --to: files of rows, such as rankings, preferences or votes'),
  model: modelFlag.optional(),
  adapter: z
    .string()
    .optional()
    .meta({ value: 'DIR' })
    .describe('a PEFT adapter to merge into it (default: that of the run)'),
  gguf: z
    .enum(ggufFormats)
    .optional()
    .describe('of a model: write one file for llama.cpp, with weights of this type; Q4_K_M is what most people run'),
  system: z
    .string()
    .optional()
    .meta({ value: 'TEXT' })
    .describe('with --gguf: what Ollama tells the model before a conversation'),
  verify: z
    .boolean()
    .default(false)
    .describe(
      'compare what was written, as llama.cpp (--gguf) or transformers.js (--onnx) reads it, with the model; without both what is in --output; needs node-llama-cpp or @huggingface/transformers',
    ),
  engine: z
    .string()
    .optional()
    .meta({ value: 'DIR' })
    .describe('with --verify: the folder where that program is installed (default: this one, then that of attune)'),
  onnx: z.boolean().default(false).describe('of a model: write a folder for transformers.js, with weights in float32'),
  to: z
    .enum(exportTargets)
    .optional()
    .describe(
      'of rows: write them for this program; a ranking becomes a task to label, or all of its pairs to train on',
    ),
  column: dataFields.column,
  output: z.string().optional().meta({ value: 'PATH' }).describe('the file or folder to write; none with --server'),
  ...serverFields,
})
type Options = z.output<typeof schema>

export default command({
  summary:
    'Convert a model for llama.cpp (--gguf) or transformers.js (--onnx), or rows for Label Studio, Argilla, TRL or LLaMA-Factory (--to)',
  example: 'export --gguf Q8_0 --model HuggingFaceTB/SmolLM2-135M --output SmolLM2-135M.gguf',
  schema,
  operands: ['files'],
  async run(options, { out }) {
    const { files, model, adapter, gguf, onnx, to, server } = options
    refuseProject(options)
    if (server !== undefined) return pushRows(options, out)
    if (to !== undefined || files.length) return exportRows(options, out)
    const output = outputOf(options)
    if (model === undefined)
      throw badInput('bad-flag', 'give a model (--model with --gguf or --onnx), or files of rows with --to')
    if (Object.keys(options.column).length)
      throw badInput('bad-flag', 'is of rows, which --to writes; a model has no columns', { flag: '--column' })
    checkVerify(options)
    if (options.verify && gguf === undefined && !onnx) return verify(options, model, output, out)
    if ((gguf !== undefined) === onnx) throw badInput('bad-flag', 'give one of --gguf TYPE and --onnx')
    const {
      base,
      adapter: merged,
      ...facts
    } = gguf
      ? await toGguf({ model, adapter, output, type: gguf, system: options.system }, out)
      : { type: 'onnx', ...(await convertToOnnx({ model, adapter, output })) }
    if (out.json) await out.jsonLine({ output, model: base, adapter: merged, ...facts })
    else
      await out.text(
        [
          `${output}: ${sourceText(base, merged)} as ${facts.type}, ${fileSize(facts.bytes)}`,
          ...('beside' in facts ? [`beside it: ${facts.beside.map(shortPath).join(', ')}`] : []),
        ].join('\n'),
      )
    if (options.verify) await verify(options, model, output, out)
  },
})

const checkVerify = ({ verify, engine, gguf, system }: Options) => {
  if (engine !== undefined && !verify) throw badInput('bad-flag', 'is of --verify', { flag: '--engine' })
  if (system !== undefined && gguf === undefined) throw badInput('bad-flag', 'is of --gguf', { flag: '--system' })
}

const verify = async ({ adapter, engine }: Options, model: string, file: string, out: Output) => {
  const { refuseDrift } = await import('../../publish/verify/expected.ts')
  const checks = await verifyExport({ model, adapter, file }, engine)
  if (out.json) await out.jsonLine({ file, good: checks.every(({ wrong }) => !wrong.length), checks })
  else {
    const rows = checks.map(({ name, found, wrong }) => [name, wrong.length ? 'wrong' : 'good', found])
    const lines = checks.flatMap(({ name, wrong }) => wrong.map((line) => `${name}: ${line}`))
    await out.text([columns(rows), ...lines].join('\n'))
  }
  refuseDrift(checks, file)
}

/** A folder is for transformers.js, and a file for llama.cpp. */
const verifyExport = async (settings: VerifySettings, engine: string | undefined): Promise<Check[]> => {
  const { stat } = await import('node:fs/promises')
  const isFolder = await stat(settings.file).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (isFolder) {
    const { verifyOnnx } = await import('../../publish/verify/verifyOnnx.ts')
    const { openTransformersReader } = await import('../../publish/verify/transformersReader.ts')
    return verifyOnnx(settings, (folder) => openTransformersReader(folder, engine))
  }
  const { verifyGguf } = await import('../../publish/verify/verifyGguf.ts')
  const { openLlamaReader } = await import('../../publish/verify/llamaReader.ts')
  return verifyGguf(settings, (path) => openLlamaReader(path, engine))
}

/** The base model, and the adapter that is merged into it. */
const sourceText = (base: string, adapter?: string): string =>
  adapter === undefined ? shortPath(base) : `${shortPath(base)} with the adapter ${shortPath(adapter)} merged into it,`

const outputOf = ({ output }: Options): string => {
  if (output === undefined) throw badInput('bad-flag', 'is needed: the file or folder to write', { flag: '--output' })
  return output
}

const toGguf = async (settings: GgufSettings, out: Output) => {
  const { shortened, unplacedEos, ...report } = await convertToGguf(settings)
  if (unplacedEos.length)
    out.screen.write(
      `note: the model has more end tokens than a GGUF file can name; llama.cpp will not stop at ${unplacedEos.join(', ')}\n`,
    )
  if (shortened !== undefined)
    out.screen.write(
      `note: llama.cpp has no sliding window for this model; the context of the file is ${shortened} tokens, for which the results are the same\n`,
    )
  return { type: settings.type, ...report, ...(unplacedEos.length && { unplaced_eos: unplacedEos }) }
}

// ---- rows ------------------------------------------------------------------------------------------------------------

/** Flags of models, which rows have no use for. */
const ofModels = ['model', 'adapter', 'gguf', 'onnx', 'verify', 'engine', 'system'] as const

const checkRowFlags = (options: Options) => {
  for (const name of ofModels)
    if (options[name] !== undefined && options[name] !== false)
      throw badInput('bad-flag', 'is of models, and files of rows or --to of rows; export one of the two', {
        flag: `--${name}`,
      })
  if (!options.files.length) throw badInput('bad-flag', 'needs files of rows', { flag: '--to' })
}

const exportRows = async (options: Options, out: Context['out']) => {
  const { files, to, column } = options
  checkRowFlags(options)
  if (to === undefined)
    throw badInput('bad-flag', `is needed for rows: one of ${exportTargets.join(', ')}; of a model give --model`, {
      flag: '--to',
    })
  const output = outputOf(options)
  const { exportVotes } = await import('../../feedback/votes/exportFile.ts')
  const { resolveDataset } = await import('../../checkpoint/hub.node.ts')
  const made = await exportVotes(files, to, output, { columns: column, resolve: resolveDataset })
  if (out.json) return out.jsonLine({ output, to, ...made })
  await out.text(
    [`${output}: ${plural(made.written, unitOf[to])} from ${plural(made.rows, 'row')}`, ...notes(made)].join('\n'),
  )
}

const pushRows = async (options: Options, out: Context['out']) => {
  const { files, to, column, output } = options
  if (to !== 'label-studio') throw badInput('bad-flag', 'is of --to label-studio', { flag: '--server' })
  if (output !== undefined)
    throw badInput('bad-flag', 'writes a file, and --server sends to a server; give one of the two', {
      flag: '--output',
    })
  checkRowFlags(options)
  const { server, project } = serverOf(options)
  const { resolveDataset } = await import('../../checkpoint/hub.node.ts')
  const { pushFiles } = await import('../../feedback/labelStudio/pushFiles.ts')
  const made = await pushFiles(server, files, project, {
    columns: column,
    resolve: resolveDataset,
    onBatch: (sent, of) => out.screen.write(`${whole(sent)} of ${plural(of, 'task')}\n`),
  })
  if (out.json) return out.jsonLine({ to, server: server.url, ...made })
  const { title, tasks, annotations, predictions, already } = made
  await out.text(
    [
      `${server.url}/projects/${made.project} (${title}${made.made ? ', new' : ''}): ${plural(tasks, 'task')} with ${plural(annotations, 'vote')} and ${plural(predictions, 'prediction')} sent, ${whole(already)} there already`,
      ...notes(made),
    ].join('\n'),
  )
}

const unitOf: Record<ExportTarget, string> = {
  'label-studio': 'task',
  argilla: 'record',
  trl: 'record',
  'llama-factory': 'record',
}

type Noted = { dropped: Counts; changed: Counts; dataset_info?: object; template?: string }

const notes = ({ dropped, changed, dataset_info, template }: Noted) => [
  ...(Object.keys(dropped).length ? [`dropped: ${countsText(dropped)}`] : []),
  ...(Object.keys(changed).length ? [`changed: ${countsText(changed)}`] : []),
  ...(dataset_info ? [`its entry in dataset_info.json: ${JSON.stringify(dataset_info)}`] : []),
  ...(template ? [`the labelling template of their project:\n${template.trimEnd()}`] : []),
]

type Counts = Record<string, number>
