/** A model for another engine: llama.cpp's GGUF, or an ONNX decoder for transformers.js. */
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { exportGguf } from '../../publish/exportGguf.ts'
import { exportOnnx } from '../../publish/exportOnnx.ts'
import { type MergedModel, openMerged } from '../../publish/mergedModel.ts'
import { refuseTaken } from '../../publish/modelFolder.ts'
import { badInput } from '../../util/fault.ts'
import { command } from '../command.ts'
import { bytes as readable } from '../format.ts'
import type { Output } from '../output.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a folder, a hub id or the name of a run'),
  adapter: z
    .string()
    .optional()
    .meta({ value: 'DIR' })
    .describe('a PEFT adapter to merge in (default: that of the run)'),
  gguf: z
    .enum(['F32', 'F16', 'Q8_0', 'Q4_0'])
    .optional()
    .describe('one file for llama.cpp, with its weights in this type'),
  onnx: z.boolean().default(false).describe('a folder for transformers.js, with its weights in float32'),
  output: z.string().meta({ value: 'PATH' }).describe('the file or the folder to make'),
})
type Options = z.output<typeof schema>

export default command({
  summary: 'Write a model for llama.cpp (--gguf) or for transformers.js (--onnx)',
  example: 'export --gguf Q8_0 --model HuggingFaceTB/SmolLM2-135M --output SmolLM2-135M.gguf',
  schema,
  async run(options, { out }) {
    const { model, adapter, gguf, onnx, output } = options
    if ((gguf !== undefined) === onnx) throw badInput('bad-flag', 'give one of --gguf TYPE and --onnx')
    if (onnx) await refuseTaken(output)
    else if (await stat(output).catch(() => undefined))
      throw badInput('taken', 'is there already; choose another --output', { file: output })
    const merged = await openMerged(model, adapter)
    const facts = gguf
      ? await toGguf(merged, gguf, output, out)
      : { type: 'onnx', ...(await exportOnnx(merged, output)) }
    if (out.json) await out.line({ output, model: merged.dir, adapter: merged.adapterDir, ...facts })
    else await out.text(`${output}: ${merged.dir} as ${facts.type}, ${readable(facts.bytes)}`)
  },
})

const toGguf = async (merged: MergedModel, type: NonNullable<Options['gguf']>, output: string, out: Output) => {
  const { shortened, unplacedEos, ...report } = await exportGguf(merged, type, output)
  if (unplacedEos.length)
    out.screen.write(
      `note: the model ends texts with more tokens than a GGUF file names; llama.cpp will not stop at ${unplacedEos.join(', ')}\n`,
    )
  if (shortened !== undefined)
    out.screen.write(
      `note: llama.cpp has no sliding window here: the file's context is ${shortened} tokens, where it is the same\n`,
    )
  return { type, ...report, ...(unplacedEos.length && { unplaced_eos: unplacedEos }) }
}
